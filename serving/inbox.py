"""The folder of received events: a batch is on disk before it is acknowledged.

One batch is one file, named by the ids in it, so that a batch sent again, to this process or to the one
beside it, meets its own file. Ids seen lately are remembered to leave repeats out of a new file; the promise
itself, that an event counts once, is kept by `read_received` and `make data`, which give each event id one row.
"""

import hashlib
import os
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from feature_repo.core.errors import RecommenderError
from feature_repo.dataset.received import RECEIVED_SCHEMA
from serving.events import Event


class EventsNotStored(RecommenderError):
    """A batch could not be made durable; answered with 503, and safe to send again."""


@dataclass(frozen=True)
class Receipt:
    """How many events of a batch were new, and how many were there before."""

    accepted: int
    duplicates: int


class Inbox:
    """The folder of received events. Threads may call `receive` at once; batches go one after another."""

    def __init__(self, folder: Path, *, remembered: int) -> None:
        self._folder = folder
        self._remembered = remembered
        self._known: dict[str, None] | None = None
        self._lock = threading.Lock()

    def receive(self, events: Sequence[Event]) -> Receipt:
        """Make the events durable; returns only when they would survive a power cut.

        Raises:
            EventsNotStored: the disk refused. Nothing counts as received.
        """
        with self._lock:
            try:
                return self._receive(events)
            except (OSError, pa.ArrowException) as error:
                raise EventsNotStored(f"the batch could not be stored ({error}): send it again") from error

    def _receive(self, events: Sequence[Event]) -> Receipt:
        if self._known is None:
            self._known = _ids_on_disk(self._folder, self._remembered)
        path = self._folder / f"{_batch_name(events)}.parquet"
        if path.exists():
            # Its writer may be the process beside this one, between its rename and its sync.
            _sync_folder(self._folder)
            return Receipt(accepted=0, duplicates=len(events))
        fresh = {event.event_id: event for event in reversed(events) if event.event_id not in self._known}
        if fresh:
            _write_durably(path, list(reversed(fresh.values())))
            self._remember(fresh)
        return Receipt(accepted=len(fresh), duplicates=len(events) - len(fresh))

    def _remember(self, ids: Iterable[str]) -> None:
        assert self._known is not None
        self._known.update(dict.fromkeys(ids))
        while len(self._known) > self._remembered:
            self._known.pop(next(iter(self._known)))


def _batch_name(events: Sequence[Event]) -> str:
    return hashlib.sha256("\x1f".join(sorted({event.event_id for event in events})).encode()).hexdigest()[:32]


def _write_durably(path: Path, events: Sequence[Event]) -> None:
    columns = [pa.array([_cell(event, field.name) for event in events], field.type) for field in RECEIVED_SCHEMA]
    _make_folder(path.parent)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as stream:
            pq.write_table(pa.table(columns, schema=RECEIVED_SCHEMA), stream)
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _cell(event: Event, name: str) -> object:
    return list(event.context.items()) if name == "context" else getattr(event, name)


def _make_folder(folder: Path) -> None:
    """Create a folder that survives a power cut, too: an entry is durable once its parent is synced."""
    missing = [folder, *folder.parents]
    missing = missing[: next(i for i, path in enumerate(missing) if path.is_dir())]
    for path in reversed(missing):
        path.mkdir(exist_ok=True)
        _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _ids_on_disk(folder: Path, limit: int) -> dict[str, None]:
    """The newest ids on disk, oldest first, at most about `limit`."""
    known: list[str] = []
    for file in sorted(folder.glob("*.parquet"), key=lambda path: path.stat().st_mtime_ns, reverse=True):
        if len(known) >= limit:
            break
        known.extend(reversed(pq.ParquetFile(file).read(["event_id"])["event_id"].to_pylist()))
    return dict.fromkeys(reversed(known[:limit]))
