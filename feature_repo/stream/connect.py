"""The event bus that BUS_URL names."""

import os
from pathlib import Path

from feature_repo.core.workspace import Workspace
from feature_repo.stream.bus import BusUnavailable, EventBus
from feature_repo.stream.folder_bus import FolderBus


def open_bus(workspace: Workspace, url: str | None = None) -> EventBus:
    """The bus at `url`, by default at BUS_URL, else the folder of received events.

    Raises:
        BusUnavailable: the address breaks its rule, or the client library is not installed.
    """
    url = os.environ.get("BUS_URL", "") if url is None else url
    scheme = url.split("://", 1)[0]
    if not url:
        return FolderBus(workspace.received, stream_folder(workspace) / "received.log")
    if scheme in ("redis", "rediss"):
        from feature_repo.stream.redis_bus import RedisBus

        return RedisBus(url)
    if scheme == "kafka":
        try:
            from feature_repo.stream.kafka_bus import KafkaBus
        except ImportError:
            raise BusUnavailable("BUS_URL names Kafka, which needs the package confluent-kafka") from None
        return KafkaBus(url)
    raise BusUnavailable(
        "BUS_URL is redis://host:port/database?stream=name, kafka://host:port/topic, or empty for the folder of "
        f"received events; got {url.split('@')[-1]!r}"
    )


def stream_folder(workspace: Workspace) -> Path:
    """What the stream keeps: its journal, its quarantine, its lock, what it read of the received folder."""
    return workspace.store / "stream"
