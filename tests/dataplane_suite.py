"""What every data plane must do, as one suite: a subclass gives the fixture `gateway`, and the tests come with it."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

import pytest

from k8s.dataplane.port import DataPlane
from k8s.rollout.split import Split

# A change must be live within this long, in seconds.
PROMPT = 1.0


class Gateway(Protocol):
    """A data plane with two variants behind it, as a caller sees it."""

    @property
    def plane(self) -> DataPlane: ...

    def ask(self, *, bucket: str | None = None, path: str = "/recommend") -> str:
        """POST once, from any thread: "stable" or "canary", whoever answered, else what went wrong."""

    def reached(self, variant: str, path: str) -> int:
        """How many POSTs to a path have reached a variant, mirrored ones included."""


class DataPlaneSuite:
    """Inherit as `class TestMine(DataPlaneSuite)` and define the fixture `gateway`."""

    @pytest.mark.parametrize("percent", [0, 1, 25, 50, 100])
    def test_requests_without_a_bucket_split_exactly_from_the_first_one_on(
        self, gateway: Gateway, percent: int
    ) -> None:
        gateway.plane.apply(Split(percent))

        seen = Counter(gateway.ask() for _ in range(200))

        assert seen["canary"] == pytest.approx(2 * percent, abs=2)
        assert seen.total() == seen["canary"] + seen["stable"]

    @pytest.mark.parametrize("split", [Split(0, 40), Split(5, 97), Split(50, 20), Split(99, 3), Split(100, 7)])
    def test_a_bucket_is_routed_by_the_range_and_never_by_chance(self, gateway: Gateway, split: Split) -> None:
        gateway.plane.apply(split)

        for bucket in range(100):
            expected = "canary" if bucket in split.buckets() else "stable"
            assert {gateway.ask(bucket=str(bucket)) for _ in range(2)} == {expected}, bucket

    def test_nobody_leaves_the_canary_while_its_range_grows(self, gateway: Gateway) -> None:
        had: set[int] = set()
        for weight in (1, 5, 25, 50):
            gateway.plane.apply(Split(weight, 90))
            has = {bucket for bucket in range(100) if gateway.ask(bucket=str(bucket)) == "canary"}
            assert had < has
            had = has

    @pytest.mark.parametrize("header", ["100", "07", "-1", "x", "7,8"])
    def test_what_is_no_bucket_falls_under_the_weight(self, gateway: Gateway, header: str) -> None:
        gateway.plane.apply(Split(50, 0))

        seen = Counter(gateway.ask(bucket=header) for _ in range(20))

        assert seen == {"stable": 10, "canary": 10}

    def test_a_change_is_live_within_a_second_and_no_request_fails(self, gateway: Gateway) -> None:
        gateway.plane.apply(Split(0))
        slowest = 0.0

        with load(gateway) as seen:
            for split in (Split(5), Split(50, 30), Split(100), Split(0, shadow=True), Split(1), Split(0)):
                began = time.monotonic()
                gateway.plane.apply(split)
                slowest = max(slowest, time.monotonic() - began)

        assert slowest < PROMPT
        assert seen.total() > 20
        assert set(seen) == {"stable", "canary"}

    def test_a_shadow_copies_recommend_alone_and_no_user_sees_the_canary(self, gateway: Gateway) -> None:
        gateway.plane.apply(Split(0, 60, shadow=True))
        before = {path: gateway.reached("canary", path) for path in ("/recommend", "/events", "/similar")}

        seen = {gateway.ask(bucket=bucket) for bucket in (None, "60", "61", "3") for _ in range(5)}
        seen |= {gateway.ask(path=path) for path in ("/events", "/similar")}
        wait_for(lambda: gateway.reached("canary", "/recommend") - before["/recommend"] == 20)

        assert seen == {"stable"}
        copied = {path: gateway.reached("canary", path) - count for path, count in before.items()}
        assert copied == {"/recommend": 20, "/events": 0, "/similar": 0}

    def test_the_same_split_can_be_applied_again(self, gateway: Gateway) -> None:
        for _ in range(2):
            gateway.plane.apply(Split(50, 10))

        assert {gateway.ask() for _ in range(10)} == {"stable", "canary"}

    def test_closing_twice_is_closing_once(self, gateway: Gateway) -> None:
        gateway.plane.close()
        gateway.plane.close()


@contextmanager
def load(gateway: Gateway) -> Iterator[Counter[str]]:
    """One caller that asks without a pause while the block lasts; who answered is counted."""
    seen: Counter[str] = Counter()
    over = threading.Event()

    def call() -> None:
        while not over.is_set():
            seen[gateway.ask()] += 1

    caller = threading.Thread(target=call)
    caller.start()
    try:
        yield seen
    finally:
        over.set()
        caller.join()


def wait_for(holds: Callable[[], bool], *, seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.02)
