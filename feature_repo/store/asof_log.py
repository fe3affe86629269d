"""Where the offline store keeps Feast's log of served features: a folder of parquet files, each whole or not there.

Feast's own writer writes in place: a disk that fills up, or a kill, leaves a file that no reader can open, and then the
whole log is unreadable.
"""

import os
import uuid
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from feast import RepoConfig
from feast.feature_logging import LoggingConfig, LoggingSource
from feast.infra.offline_stores.file_source import FileLoggingDestination
from feast.infra.registry.base_registry import BaseRegistry

from feature_repo.core.errors import StoreUnavailable


def write_log(
    config: RepoConfig,
    data: pa.Table | Path,
    source: LoggingSource,  # noqa: ARG001 - Feast's signature
    logging_config: LoggingConfig,
    registry: BaseRegistry,  # noqa: ARG001
) -> None:
    """Feast's `write_logged_features`.

    Raises:
        StoreUnavailable: the destination is no folder of this machine.
        OSError: the disk refused; nothing is left behind.
    """
    destination = logging_config.destination
    if not isinstance(destination, FileLoggingDestination) or "://" in destination.path or destination.partition_by:
        raise StoreUnavailable(
            "the log of served features goes to a folder of this machine without partitions; got "
            f"{getattr(destination, 'path', type(destination).__name__)!r}"
        )
    folder = Path(config.repo_path or ".") / destination.path
    folder.mkdir(parents=True, exist_ok=True)
    table = pq.read_table(data) if isinstance(data, Path) else data
    path = folder / f"{uuid.uuid4().hex}.parquet"
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        pq.write_table(table, partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
