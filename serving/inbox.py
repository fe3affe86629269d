"""The folder of received events: a batch is on disk before it is acknowledged.

One batch is one file, named by the ids in it, so that a batch sent again, to this process or to the one
beside it, meets its own file. Ids seen lately are remembered to leave repeats out of a new file; the promise
itself, that an event counts once, is kept by `read_received` and `make data`, which give each event id one row.

Where there is an event bus besides the folder, a batch is acknowledged once the bus has it, too (outbox.py).
"""

import hashlib
import logging
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from feature_repo.core.errors import RecommenderError
from feature_repo.core.workspace import Workspace
from feature_repo.dataset.received import RECEIVED_SCHEMA
from serving.events import Event
from serving.outbox import BatchNotSent, Outbox

logger = logging.getLogger("serving.inbox")


class EventsNotStored(RecommenderError):
    """A batch could not be made durable; answered with 503, and safe to send again."""


@dataclass(frozen=True)
class Receipt:
    """How many events of a batch were new, and how many were there before."""

    accepted: int
    duplicates: int


class Inbox:
    """The folder of received events. Threads may call `receive` at once; batches go one after another."""

    def __init__(
        self,
        folder: Path,
        *,
        remembered: int,
        outbox: Outbox | None = None,
        on_received: Callable[[Sequence[Event]], object] = lambda _: None,
    ) -> None:
        """`on_received` gets the new events of each batch once they are durable, whether the bus takes them or not."""
        self._folder = folder
        self._remembered = remembered
        self._outbox = outbox
        self._on_received = on_received
        self._known: dict[str, None] | None = None
        self._lock = threading.Lock()

    def receive(self, events: Sequence[Event]) -> Receipt:
        """Make the events durable; returns only when they would survive a power cut, and the bus has them.

        Raises:
            EventsNotStored: the disk refused, and nothing counts as received; or the bus did, and gets them later.
        """
        with self._lock:
            try:
                fresh = self._receive(events)
            except (OSError, pa.ArrowException) as error:
                raise EventsNotStored(f"the batch could not be stored ({error}): send it again") from error
        if fresh:
            self._on_received(fresh)
        if self._outbox is not None:
            self._forward(self._outbox, events)
        return Receipt(accepted=len(fresh), duplicates=len(events) - len(fresh))

    def start(self) -> None:
        """Send what an earlier process received and did not put onto the bus."""
        if self._outbox is not None:
            self._outbox.start()

    def close(self) -> None:
        if self._outbox is not None:
            self._outbox.close()

    def _forward(self, outbox: Outbox, events: Sequence[Event]) -> None:
        # Known by its name even where nothing in it was new: a batch that the bus refused is sent again by its
        # sender, and the file that has its events is looked up, not written.
        try:
            name = f"{_batch_name(events)}.parquet"
            if (self._folder / name).exists():
                outbox.add(name)
            outbox.send()
        except (BatchNotSent, OSError, pa.ArrowException) as error:
            raise EventsNotStored(f"the batch is not on the event bus ({error}): send it again") from error

    def _receive(self, events: Sequence[Event]) -> Sequence[Event]:
        """Those of `events` that are new, in their order."""
        if self._known is None:
            self._known = _ids_on_disk(self._folder, self._remembered)
        path = self._folder / f"{_batch_name(events)}.parquet"
        if path.exists():
            # Its writer may be the process beside this one, between its rename and its sync.
            _sync_folder(self._folder)
            return ()
        first = {event.event_id: event for event in reversed(events) if event.event_id not in self._known}
        fresh = list(reversed(first.values()))
        if fresh:
            _write_durably(path, fresh)
            self._remember(first)
        return fresh

    def _remember(self, ids: Iterable[str]) -> None:
        assert self._known is not None
        self._known.update(dict.fromkeys(ids))
        while len(self._known) > self._remembered:
            self._known.pop(next(iter(self._known)))


def open_inbox(
    workspace: Workspace,
    *,
    remembered: int,
    sweep_seconds: float,
    on_received: Callable[[Sequence[Event]], object] = lambda _: None,
) -> Inbox:
    """The inbox of a workspace; with BUS_URL in the environment batches go onto that bus, too.

    Raises:
        BusUnavailable: BUS_URL breaks its rule.
    """
    outbox = None
    if os.environ.get("BUS_URL"):
        from feature_repo.stream.connect import open_bus, stream_folder
        from feature_repo.stream.folder_bus import messages_of

        forwarded = stream_folder(workspace) / "forwarded.log"
        bus = open_bus(workspace)
        outbox = Outbox(workspace.received, forwarded, bus, read=messages_of, sweep_seconds=sweep_seconds)
    return Inbox(workspace.received, remembered=remembered, outbox=outbox, on_received=on_received)


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
        try:
            known.extend(reversed(pq.ParquetFile(file).read(["event_id"])["event_id"].to_pylist()))
        except pa.ArrowException as error:  # an event may be stored twice, and still counts once
            logger.error("received_file_unreadable file=%s error=%s", file.name, error)
    return dict.fromkeys(reversed(known[:limit]))
