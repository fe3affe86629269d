"""The request log: rows wait in a bounded queue for a thread that writes Parquet files.

An answer never waits for the log. A full queue or a failing disk costs rows, and every lost row is counted. When there
is space again, the next rows are written.

Users go in under their pseudonyms, which the writer makes: so a key that cannot be read costs rows, too, and never a
name. Where Feast has a log for the features of users, a row goes into both logs or counts as lost.
"""

import contextlib
import logging
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from feature_repo.dataset.pseudonym import Pseudonyms
from feature_repo.dataset.request_log import read_request_log
from feature_repo.dataset.request_log_schema import KEY_CHECK, REQUEST_LOG_SCHEMA
from serving.http import to_json

__all__ = ["FeatureSink", "LoggedRequest", "RequestLog", "read_request_log", "to_table"]

logger = logging.getLogger("serving.request_log")

# Few, since turning rows into a table holds the interpreter lock, and a request that arrives meanwhile waits for it.
ROWS_AT_ONCE = 16


@dataclass(frozen=True)
class LoggedRequest:
    """One answer and what it was made of. `features` is [candidates, feature_names]; `user_id` as in the request."""

    request_id: str
    received_at: datetime
    moment: datetime
    user_id: str
    variant: str
    model_version: str
    degraded: tuple[str, ...]
    user_row: Mapping[str, Any] | None  # None when the store could not be read
    k: int
    slate: Sequence[str]
    propensities: Sequence[float]  # of each place of the slate
    candidates: npt.NDArray[np.object_]
    sources: npt.NDArray[np.object_]
    scores: npt.NDArray[np.float32]
    features: npt.NDArray[np.float32]
    feature_names: tuple[str, ...]
    rollout: str | None = None
    bucket: int | None = None  # of the user, as the caller sent it
    interleaved: str | None = None  # the version whose slate is mixed in, and
    teams: Sequence[int] | None = None  # of each place, who it is of: see REQUEST_LOG_SCHEMA


class FeatureSink(Protocol):
    """A second log, for the users' features alone."""

    def write(self, rows: Sequence[LoggedRequest], pseudonyms: Pseudonyms) -> None:
        """Write all of `rows` or raise."""


class RequestLog:
    """The waiting rows and their writer. The service calls `offer`, the writer's thread the rest."""

    def __init__(
        self,
        folder: Path,
        *,
        name: str,
        queue_rows: int,
        flush_rows: int,
        flush_seconds: float,
        on_dropped: Callable[[int], object],
        pseudonyms: Callable[[], Pseudonyms],
        features: FeatureSink | None = None,
    ) -> None:
        self._folder = folder
        self._name = name
        self._queue_rows = queue_rows
        self._flush_rows = flush_rows
        self._flush_seconds = flush_seconds
        self._on_dropped = on_dropped
        self._pseudonyms = pseudonyms
        self._features = features
        self._rows: deque[LoggedRequest] = deque()
        self._wake = threading.Event()
        self._closing = False
        self._files = 0
        self._thread = threading.Thread(target=self._write_until_closed, name="request-log", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def offer(self, row: LoggedRequest) -> None:
        """Keep a row for the writer, or count it as dropped; returns at once."""
        if len(self._rows) >= self._queue_rows:
            self._on_dropped(1)
            return
        # Not a queue.Queue: that wakes the writer for each row, and two hand-overs of the interpreter lock
        # cost a request half a millisecond.
        self._rows.append(row)
        if len(self._rows) >= self._flush_rows:
            self._wake.set()

    def close(self, timeout: float = 10.0) -> None:
        """Write what is waiting and stop."""
        self._closing = True
        self._wake.set()
        self._thread.join(timeout)

    def _write_until_closed(self) -> None:
        _yield_to_requests()
        while not self._closing:
            self._wake.wait(self._flush_seconds)
            self._wake.clear()
            self._write_waiting()
        self._write_waiting()

    def _write_waiting(self) -> None:
        while self._rows:
            self._write([self._rows.popleft() for _ in range(min(self._flush_rows, len(self._rows)))])

    def _write(self, rows: list[LoggedRequest]) -> None:
        self._files += 1
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
        path = self._folder / f"{stamp}-{self._name}-{os.getpid()}-{self._files:06d}.parquet"
        partial = path.with_name(f".{path.name}.partial")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            pseudonyms = self._pseudonyms()
            schema = REQUEST_LOG_SCHEMA.with_metadata(metadata_of(pseudonyms))
            # Without dictionaries: zstd makes as much of repeated texts, in three quarters of the time.
            with pq.ParquetWriter(partial, schema, compression="zstd", use_dictionary=False) as writer:
                for start in range(0, len(rows), ROWS_AT_ONCE):
                    writer.write_table(to_table(rows[start : start + ROWS_AT_ONCE], pseudonyms))
            if self._features is not None:
                self._features.write(rows, pseudonyms)
            partial.replace(path)
        except Exception:  # the thread's outermost loop: a writer that dies loses every later row, too
            self._on_dropped(len(rows))
            logger.exception("request_log_write_failed rows=%d", len(rows))
            with contextlib.suppress(OSError):
                partial.unlink(missing_ok=True)


def _yield_to_requests() -> None:
    """Let this thread have the processor time that answers leave; as their equal it held up 1 in 100 for 0.1 s."""
    if sys.platform == "linux":  # where a thread has a priority of its own
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)


def metadata_of(pseudonyms: Pseudonyms) -> dict[bytes, bytes]:
    """What a file of the log says of itself: which key its pseudonyms have."""
    return {KEY_CHECK: pseudonyms.check.encode()}


def to_table(rows: Sequence[LoggedRequest], pseudonyms: Pseudonyms) -> pa.Table:
    """Rows as one Arrow table; matrices become lists without a Python object for each number.

    Raises:
        ValueError: a row's columns disagree on how many candidates it has.
    """
    for row in rows:
        _check_shape(row)
    names = (
        "request_id",
        "received_at",
        "moment",
        "variant",
        "model_version",
        "rollout",
        "bucket",
        "degraded",
        "k",
        "slate",
        "propensities",
        "interleaved",
        "teams",
    )
    columns: dict[str, pa.Array] = {
        name: pa.array([getattr(row, name) for row in rows], REQUEST_LOG_SCHEMA.field(name).type) for name in names
    }
    columns["user_id"] = pa.array([pseudonyms.of(row.user_id) for row in rows], pa.string())
    columns["user_features"] = pa.array([_row_as_json(row.user_row) for row in rows], pa.string())
    columns["feature_names"] = pa.array([row.feature_names for row in rows], pa.list_(pa.string()))
    candidates = _offsets([len(row.candidates) for row in rows])
    for name, kind in (("candidates", pa.string()), ("sources", pa.string()), ("scores", pa.float32())):
        values = np.concatenate([getattr(row, name) for row in rows])
        columns[name] = pa.ListArray.from_arrays(candidates, pa.array(values, kind))
    widths = np.concatenate([np.full(len(row.candidates), len(row.feature_names)) for row in rows])
    cells = np.concatenate([np.asarray(row.features, np.float32).ravel() for row in rows])
    matrix_rows = pa.ListArray.from_arrays(_offsets(widths), pa.array(cells, pa.float32()))
    columns["features"] = pa.ListArray.from_arrays(candidates, matrix_rows)
    return pa.table([columns[name] for name in REQUEST_LOG_SCHEMA.names], schema=REQUEST_LOG_SCHEMA)


def _check_shape(row: LoggedRequest) -> None:
    # A list array takes values of any length without a word, and every later row would hold its neighbour's.
    count = len(row.candidates)
    shapes = (row.sources.shape, row.scores.shape, row.features.shape)
    if shapes != ((count,), (count,), (count, len(row.feature_names))):
        raise ValueError(f"a logged row has one source, score and feature row for each candidate; got {shapes}")
    if len(row.propensities) != len(row.slate):
        counts = f"{len(row.propensities)} for {len(row.slate)} items"
        raise ValueError(f"a logged row has one propensity for each item of its slate; got {counts}")


def _offsets(lengths: Sequence[int] | npt.NDArray[np.int64]) -> pa.Array:
    return pa.array(np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]), pa.int32())


def _row_as_json(row: Mapping[str, Any] | None) -> str | None:
    return None if row is None else to_json(dict(row)).decode()
