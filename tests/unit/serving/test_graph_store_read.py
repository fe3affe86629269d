"""A store that hangs, fails or comes back, and what a request has to wait for it."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from feature_repo.core.errors import StoreUnavailable
from serving.graph.bounded_reader import BoundedReader
from serving.graph.breaker import Breaker

LIMIT = 0.05


class Store:
    """Answers at once, fails, or hangs until it is let go."""

    def __init__(self) -> None:
        self.reads = 0
        self.down = False
        self.free = threading.Event()
        self.free.set()

    def read(self, user_id: str) -> str:
        self.reads += 1
        self.free.wait(10)
        if self.down:
            raise StoreUnavailable("down")
        return user_id.upper()


@contextmanager
def reader_of(
    store: Store, *, threads: int = 2, failures: int = 3, at_once: Callable[[str], str] | None = None
) -> Iterator[BoundedReader[str]]:
    limits = {"threads": threads, "failures": failures}
    reader = BoundedReader(store.read, at_once=at_once, seconds=LIMIT, probe_seconds=0.02, **limits)
    reader.start()
    yield reader
    reader.close()
    store.free.set()


def give_up(reader: BoundedReader[str]) -> None:
    with pytest.raises(StoreUnavailable):
        reader.read("a", within=1.0)


def wait_for(reader: BoundedReader[str]) -> None:
    deadline = time.monotonic() + 5
    while not reader.trusted and time.monotonic() < deadline:
        time.sleep(0.01)


def test_a_store_that_answers_is_read_once() -> None:
    store = Store()

    with reader_of(store) as reader:
        assert reader.read("a", within=1.0) == "A"
        assert asyncio.run(reader.read_async("b", within=1.0)) == "B"

    assert store.reads == 2


def test_a_store_that_answers_at_once_is_read_by_who_asks() -> None:
    store = Store()

    def both(at_once: Callable[[str], str]) -> list[str]:
        with reader_of(store, at_once=at_once) as reader:
            return [reader.read("a", within=1.0), asyncio.run(reader.read_async("b", within=1.0))]

    found = both(lambda user_id: f"{user_id} by {threading.current_thread().name}")

    assert found == ["a by MainThread", "b by MainThread"]
    assert store.reads == 0


def test_what_cannot_be_read_at_once_is_waited_for_and_is_no_failure() -> None:
    store = Store()

    def written_to(user_id: str) -> str:
        raise StoreUnavailable(f"somebody writes to {user_id}")

    with reader_of(store, at_once=written_to, failures=1) as reader:
        assert reader.read("a", within=1.0) == "A"
        assert asyncio.run(reader.read_async("b", within=1.0)) == "B"
        assert reader.trusted


def test_after_a_slow_read_a_store_is_read_on_a_thread_until_it_is_quick_again() -> None:
    store, pauses = Store(), iter([0.02, 0.0])

    def at_once(user_id: str) -> str:
        time.sleep(next(pauses))
        return f"{user_id} at once"

    with reader_of(store, at_once=at_once) as reader:
        found = [reader.read("a", within=1.0) for _ in range(3)]

    assert found == ["a at once", "A", "a at once"]


def test_a_store_that_hangs_is_waited_for_no_longer_than_its_limit() -> None:
    store = Store()
    store.free.clear()

    with reader_of(store) as reader:
        started = time.perf_counter()
        with pytest.raises(StoreUnavailable, match="the feature store must answer within 50 ms; it did not"):
            reader.read("a", within=1.0)
        waited = time.perf_counter() - started

    assert LIMIT <= waited < 20 * LIMIT  # the rest is a busy machine's


def test_other_requests_are_answered_while_one_waits_for_a_slow_store() -> None:
    store = Store()
    store.free.clear()

    async def both(reader: BoundedReader[str]) -> tuple[float, float]:
        started = time.perf_counter()
        waiting = asyncio.create_task(asyncio.wait_for(reader.read_async("a", within=1.0), 5))
        await asyncio.sleep(0)
        turn = time.perf_counter() - started
        with pytest.raises(StoreUnavailable):
            await waiting
        return turn, time.perf_counter() - started

    with reader_of(store) as reader:
        give_up(reader)  # from now on nobody waits in place
        turn, whole = asyncio.run(both(reader))

    assert turn < whole


def test_a_store_that_failed_often_enough_is_asked_no_more_and_trusted_again_when_it_is_back() -> None:
    store = Store()
    store.down = True

    with reader_of(store) as reader:
        for _ in range(3):
            give_up(reader)
        with pytest.raises(StoreUnavailable, match="is being probed"):
            reader.read("a", within=1.0)

        store.down = False
        wait_for(reader)

        assert reader.read("a", within=1.0) == "A"


def test_reads_that_hang_on_every_thread_do_not_keep_the_store_out_when_it_is_back() -> None:
    """All threads once waited in reads that nobody waited for any more; the probe needs one of its own."""
    store = Store()
    store.free.clear()

    with reader_of(store, threads=1) as reader:
        for _ in range(3):
            give_up(reader)
        store.free.set()
        wait_for(reader)

        assert reader.read("a", within=1.0) == "A"


def test_a_store_that_answers_too_late_stays_out() -> None:
    store = Store()
    store.down = True

    with reader_of(store, failures=1) as reader:
        give_up(reader)
        store.down = False
        store.free.clear()
        threading.Timer(0.2, store.free.set).start()
        time.sleep(0.1)

        assert not reader.trusted


def test_a_request_without_time_does_not_count_against_the_store() -> None:
    store = Store()

    with reader_of(store, failures=1) as reader:
        with pytest.raises(StoreUnavailable, match="no time is left"):
            reader.read("a", within=-0.1)

        assert reader.trusted
    assert store.reads == 0


def test_a_breaker_opens_with_its_last_failure_in_a_row_and_says_so_once() -> None:
    breaker = Breaker(failures=2)

    breaker.failed()
    breaker.succeeded()
    opened = [breaker.failed(), breaker.failed(), breaker.failed()]

    assert opened == [False, True, False]
    assert breaker.open
