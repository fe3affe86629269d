"""The feature store behind a time limit and a circuit breaker: a store that hangs never holds up the process.

A store across the network is read on a thread of its own and waited for; when its time is up the thread goes on alone
and the request goes on without the row. A time limit of the client's socket would cost nothing, but holds for one
exchange of several in a read. So a request waits in place for as long as a read usually takes (`patience`), and on the
event loop, where other requests are answered meanwhile, for the rest of its limit. After a slow read nobody waits in
place until reads are quick again.

The hop to the thread and back costs 0.02 ms in a loop, and where a process asks a hundred times a second and has one
core, 0.7 of 7 ms. A store that is a file here is therefore read by who asks, as long as it answers at once: while
somebody writes, and after a slow read, it is waited for like any other.

While the breaker is open no request asks. One thread probes every `probe_seconds` and closes it.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from typing import Generic, TypeVar

from feature_repo.core.errors import StoreUnavailable
from serving.graph.breaker import Breaker
from serving.graph.reading_threads import ReadingThreads

logger = logging.getLogger("serving.graph.store")

PATIENCE_SECONDS = 0.003  # several times a usual read
FAILURES = 3  # in a row; fewer would open on the hiccups of a busy machine
PROBE_SECONDS = 0.5
PROBED_USER = "-"  # any key will do: an unknown user is an answer, too
Value = TypeVar("Value")


class BoundedReader(Generic[Value]):
    """Calls `read(user_id)`, which raises StoreUnavailable for whatever goes wrong, within `seconds` at most.

    `at_once(user_id)` is the same without any waiting, where the store has that; it raises where it would have to.
    """

    def __init__(
        self,
        read: Callable[[str], Value],
        *,
        threads: int,
        seconds: float,
        at_once: Callable[[str], Value] | None = None,
        patience: float = PATIENCE_SECONDS,
        failures: int = FAILURES,
        probe_seconds: float = PROBE_SECONDS,
    ) -> None:
        self._read = read
        self._at_once = at_once
        self._seconds = seconds
        self._patience = patience
        self._probe_seconds = probe_seconds
        self._threads = ReadingThreads(read, count=threads)
        self._breaker = Breaker(failures=failures)
        self._quick = True
        self._closed = threading.Event()

    @property
    def trusted(self) -> bool:
        return not self._breaker.open

    def start(self) -> None:
        self._threads.start()

    def close(self) -> None:
        self._closed.set()
        self._threads.close()

    def read(self, user_id: str, *, within: float) -> Value:
        """The value; the calling thread waits.

        Raises:
            StoreUnavailable: the store failed, was too slow, or is not asked at present.
        """
        within = min(within, self._seconds)
        self._must_be_asked(within)
        if (value := self._found_at_once(user_id)) is not None:
            return value
        future, started = self._threads.submit(user_id), time.perf_counter()
        try:
            value = future.result(within)
        except (TimeoutError, CancelledError, StoreUnavailable) as error:
            raise self._given_up(future, error, within) from error
        return self._taken(value, started)

    async def read_async(self, user_id: str, *, within: float) -> Value:
        """The value; after `patience` other coroutines run while this one waits.

        Raises:
            StoreUnavailable: the store failed, was too slow, or is not asked at present.
        """
        within = min(within, self._seconds)
        self._must_be_asked(within)
        if (value := self._found_at_once(user_id)) is not None:
            return value
        future = self._threads.submit(user_id)
        await asyncio.sleep(0)  # whoever else is ready to ask asks, before anybody waits
        started = time.perf_counter()
        try:
            value = await self._waited(future, within)
        except (TimeoutError, CancelledError, StoreUnavailable) as error:
            raise self._given_up(future, error, within) from error
        return self._taken(value, started)

    async def _waited(self, future: "Future[Value]", within: float) -> Value:
        if self._quick:
            try:
                return future.result(min(self._patience, within))
            except TimeoutError:
                if future.done():
                    return future.result()
                within -= self._patience
        return await asyncio.wait_for(asyncio.wrap_future(future), max(within, 0.0))

    def _must_be_asked(self, within: float) -> None:
        """Raises StoreUnavailable where it should not be."""
        if within <= 0:
            raise StoreUnavailable("no time is left to read the feature store")
        if self._breaker.open:
            raise StoreUnavailable("the feature store did not answer lately and is being probed")

    def _found_at_once(self, user_id: str) -> Value | None:
        """The value, None where the store has to be waited for."""
        if self._at_once is None or not self._quick:
            return None
        started = time.perf_counter()
        try:
            return self._taken(self._at_once(user_id), started)
        except StoreUnavailable:
            return None

    def _taken(self, value: Value, started: float) -> Value:
        self._quick = time.perf_counter() - started <= self._patience
        self._breaker.succeeded()
        return value

    def _given_up(self, future: "Future[Value]", error: BaseException, within: float) -> StoreUnavailable:
        future.cancel()  # one that still waits for a thread is not worth its read any more
        self._quick = False
        if self._breaker.failed():
            logger.warning("feature_store_given_up error=%s", error)
            threading.Thread(target=self._probe, name="store-probe", daemon=True).start()
        if isinstance(error, StoreUnavailable):
            return error
        return StoreUnavailable(f"the feature store must answer within {within * 1_000:.0f} ms; it did not")

    def _probe(self) -> None:
        """Ask until the store answers; beside the requests, so that none waits for a store that is gone."""
        while not self._closed.wait(self._probe_seconds):
            started = time.perf_counter()
            try:
                self._read(PROBED_USER)
            except StoreUnavailable:
                continue
            # A store that answers too late is as good as none.
            if time.perf_counter() - started <= self._seconds:
                self._breaker.succeeded()
                logger.info("feature_store_back")
                return
