"""From the folder of received events onto the event bus: every batch at least once, whoever is killed and whenever.

The folder is the outbox. A batch that the bus took is a line in `forwarded.log`; what has no line is sent again.

    killed before the file is whole   nothing was received; the sender had no answer and sends again
    killed before the bus has it      the next process, or the one beside this one, finds a file without a line
    killed before the line            the batch goes twice; the consumer knows its events by their ids

Files go in order of arrival, since a reader of the bus takes a user's events in the order in which they came.
"""

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa

from feature_repo.core.errors import RecommenderError
from feature_repo.stream.bus import BusUnavailable, EventBus, Message

logger = logging.getLogger("serving.outbox")

FILES_AT_ONCE = 200  # a backlog above it is worked off by the thread; a request does not wait for more
PAUSE_SECONDS = 1.0  # after a failure nobody waits for the bus again so soon
ABANDONED_SECONDS = 30.0  # a file that is older and has no line: whoever wrote it is not at it any more


class BatchNotSent(RecommenderError):
    """The event bus has not taken all that was received; the batch may be sent again."""


class Outbox:
    """The files of `folder` and which of them the bus has. Threads may call it at once."""

    def __init__(
        self,
        folder: Path,
        forwarded: Path,
        bus: EventBus,
        *,
        read: Callable[[Path], Sequence[Message]],
        sweep_seconds: float,
    ) -> None:
        self._folder = folder
        self._forwarded = Forwarded(forwarded)
        self._bus = bus
        self._read = read
        self._sweep_seconds = sweep_seconds
        self._waiting: dict[str, None] = {}
        self._again_at = 0.0
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._sweep_until_closed, name="outbox", daemon=True)

    def start(self) -> None:
        """From now on, what other processes left behind is sent, too."""
        self._thread.start()

    def close(self) -> None:
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join()
        self._bus.close()

    def add(self, name: str) -> None:
        """A file is in the folder; whether the bus has it is looked up."""
        with self._lock:
            if name not in self._forwarded.names():
                self._waiting[name] = None

    def send(self) -> None:
        """Put everything that waits onto the bus, in its order.

        Raises:
            BatchNotSent: the bus is down, or there is more than one call sends.
        """
        with self._lock:
            if self._waiting and time.monotonic() < self._again_at:
                raise BatchNotSent("the event bus did not answer a moment ago")
            for name in list(self._waiting)[:FILES_AT_ONCE]:
                self._send(name)
            if self._waiting:
                raise BatchNotSent(f"{len(self._waiting)} earlier batches are on their way to the event bus")

    def _send(self, name: str) -> None:
        try:
            messages = self._read(self._folder / name)
            if messages:
                self._bus.publish(messages)
        except BusUnavailable as error:
            self._again_at = time.monotonic() + PAUSE_SECONDS
            raise BatchNotSent(str(error)) from error
        except pa.ArrowException as error:  # a file that rotted must not hold up all that came after it
            logger.error("outbox_file_unreadable file=%s error=%s", name, error)
        else:
            self._forwarded.add(name)
        del self._waiting[name]

    def _sweep_until_closed(self) -> None:
        abandoned = 0.0  # at the start whatever has no line is sent: this process wrote none of it
        while True:
            try:
                self._sweep(older_than=abandoned)
            except BatchNotSent as error:
                logger.warning("events_wait_for_bus files=%d error=%s", len(self._waiting), error)
            except Exception:  # the thread's outermost loop
                logger.exception("outbox_failed")
            abandoned = ABANDONED_SECONDS
            # With a backlog go on at once, but for the pause that a bus which is down gets.
            pause = self._sweep_seconds if not self._waiting else max(self._again_at - time.monotonic(), 0.01)
            if self._closing.wait(pause):
                return

    def _sweep(self, *, older_than: float) -> None:
        limit = time.time() - older_than
        for name in waiting_files(self._folder, self._forwarded.names(), before=limit):
            self.add(name)
        self.send()


class Forwarded:
    """The names of the files that the bus has, a line each; several processes add to it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._names: set[str] = set()
        self._read_to = 0

    def names(self) -> set[str]:
        """All of them, those of other processes, too."""
        with contextlib.suppress(FileNotFoundError), self._path.open("rb") as file:
            file.seek(self._read_to)
            whole, newline, _ = file.read().rpartition(b"\n")  # what a kill cut off is no line
            self._read_to += len(whole) + len(newline)
            self._names.update(whole.decode().split("\n"))
        return self._names

    def add(self, name: str) -> None:
        """One write of a few bytes at the end, which processes cannot interleave."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            os.write(descriptor, f"{name}\n".encode())
        finally:
            os.close(descriptor)
        self._names.add(name)


def waiting_files(folder: Path, forwarded: set[str], *, before: float) -> list[str]:
    """Files of batches without a line, last changed before the Unix time `before`, in order of arrival."""
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        files = [e for e in entries if e.name.endswith(".parquet") and e.name[0] != "." and e.name not in forwarded]
        found = sorted((entry.stat().st_mtime_ns, entry.name) for entry in files)
    return [name for changed, name in found if changed <= before * 1e9]
