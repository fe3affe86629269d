"""What a start looks up in the workspace and asks of the parts that it opened."""

import logging
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from feature_repo.core.errors import BundleError, MissingArtifact
from feature_repo.core.workspace import Workspace
from feature_repo.dataset.split import load_split
from serving.events import Event
from serving.runtime import Runtime
from serving.settings import ServingSettings

if TYPE_CHECKING:
    from serving.graph.recent import RecentEvents
    from training.recommender import Recommender

logger = logging.getLogger("serving.opened")

REMEMBERED_FILES = 1_000


def first_answer(recommender: "Recommender", version: str, *, now: datetime) -> None:
    """One slate from a recommender that nobody has asked yet: first calls build caches.

    Raises:
        BundleError: the bundle does not fit this code or the item table.
    """
    from training.slate import Request

    try:
        recommender.recommend(Request("warm-up", now), {})
    except ValueError as error:
        raise BundleError(f"the bundle of version {version} must fit this code; answering failed: {error}") from error


def recent_events(settings: ServingSettings, workspace: Workspace) -> "RecentEvents":
    """The overlay of received events; how each event type counts is the data set's to say, where it is known."""
    from feature_repo.dataset.declaration import Dataset
    from serving.graph.recent import RecentEvents

    declared = workspace.events.with_name("dataset.json")
    if not declared.exists():  # the event log need not be where the service is
        return RecentEvents(users=settings.recent_users)
    dataset = Dataset.model_validate_json(declared.read_text(encoding="utf-8"))
    valued = "value" in dataset.events.columns
    required = dataset.cleaning.consent_required
    return RecentEvents(users=settings.recent_users, weights=dataset.weights, valued=valued, consent_required=required)


def remember_received(workspace: Workspace, recent: "RecentEvents") -> None:
    """Let `recent` know what was received last before this process, in a thread: nobody waits for it.

    So a restart does not show what was hidden a moment ago.
    """

    def read() -> None:
        try:
            recent.add(last_received(workspace.received))
        except (OSError, pa.ArrowException) as error:
            logger.warning("received_not_read error=%s", error)

    threading.Thread(target=read, name="recent-events", daemon=True).start()


def last_received(folder: Path) -> list[Event]:
    """The events of the newest REMEMBERED_FILES batches in `folder`, in order of arrival."""
    files = sorted(folder.glob("*.parquet"), key=lambda file: file.stat().st_mtime_ns)[-REMEMBERED_FILES:]
    rows = (row for file in files for row in pq.ParquetFile(file).read().to_pylist(maps_as_pydicts="lossy"))
    return [Event(**row) for row in rows]


def data_until(workspace: Workspace, materialized: datetime) -> datetime:
    """Where the stores' knowledge ends: at the last event, or where the state was materialized before it."""
    try:
        return min(load_split(workspace).test_end, materialized)
    except MissingArtifact:  # the event log need not be where the service is
        return materialized


def export_ages(runtime: Runtime) -> None:
    """Ages grow between two scrapes, so they are worked out when they are read."""
    metrics = runtime.metrics
    metrics.item_table_age.set_function(lambda: runtime.items.age_seconds(datetime.now(UTC)))
    metrics.blocked_items.set_function(lambda: len(runtime.blocked.ids))
