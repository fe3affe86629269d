"""A few daemon threads that read the store, so that a read can be given up.

Not a ThreadPoolExecutor: that one joins its threads when the process ends, and a read that hangs would keep a
stopped server alive.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Generic, TypeVar

Value = TypeVar("Value")


class ReadingThreads(Generic[Value]):
    """Runs `read(key)` on one of `count` threads."""

    def __init__(self, read: Callable[[str], Value], *, count: int) -> None:
        self._read = read
        self._asked: SimpleQueue[tuple[str, Future[Value]] | None] = SimpleQueue()
        self._threads = [
            threading.Thread(target=self._serve, name=f"store-read-{number}", daemon=True) for number in range(count)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Let the threads end, each after the read that it is at."""
        for _ in self._threads:
            self._asked.put(None)

    def submit(self, key: str) -> "Future[Value]":
        """The future value of `read(key)`. One that is cancelled before a thread is free is never read."""
        future: Future[Value] = Future()
        self._asked.put((key, future))
        return future

    def _serve(self) -> None:
        while (asked := self._asked.get()) is not None:
            key, future = asked
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(self._read(key))
            except BaseException as error:  # noqa: BLE001 - handed to whoever waits for it
                future.set_exception(error)
