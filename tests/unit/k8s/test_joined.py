"""Slates joined to events as both come in: the same sums as joining all at once, in whatever order and how often."""

from collections import defaultdict
from dataclasses import astuple
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k8s.evidence.joined import KINDS, Joined
from k8s.evidence.rates import Rate, RateSums
from k8s.evidence.ratio import Products
from monitoring.experiments.impressions import impressions

START = datetime(2026, 1, 1, tzinfo=UTC)
WINDOW = timedelta(seconds=10)
TYPES = {"clicks": ("click", "both"), "conversions": ("buy", "both")}
STAMP = pa.timestamp("us", tz="UTC")
LOG = pa.schema(
    [
        *((name, pa.string()) for name in ("request_id", "user_id", "variant", "model_version")),
        *(("bucket", pa.int32()), ("slate", pa.list_(pa.string())), ("weight", pa.float64())),
        *(("moment", STAMP), ("received_at", STAMP)),
    ]
)
EVENTS = pa.schema(
    [
        *((name, pa.string()) for name in ("request_id", "item_id", "event_type", "event_id")),
        *(("timestamp", STAMP), ("value", pa.float64())),
    ]
)
Rows = list[dict[str, Any]]


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def request(
    number: int, user: str, canary: bool, seconds: int, slate: list[str], weight: float = 0.25
) -> dict[str, Any]:
    return {
        **{"request_id": f"r{number}", "user_id": user, "variant": "canary" if canary else "stable", "bucket": None},
        **{"model_version": "1", "slate": slate, "weight": weight, "moment": at(seconds), "received_at": at(seconds)},
    }


def event(number: int, item: str, seconds: int, kind: str) -> dict[str, Any]:
    said = {"request_id": f"r{number}", "item_id": item, "event_type": kind, "timestamp": at(seconds), "value": 1.0}
    return {**said, "event_id": f"{number}{item}{seconds}{kind}"}


def whole(log: Rows, events: Rows, kind: str, *, now: datetime) -> Rate:
    """The sums by joining everything at once."""
    tables = pa.Table.from_pylist(log, schema=LOG), pa.Table.from_pylist(events, schema=EVENTS)
    shown = impressions(*tables, window=WINDOW, now=now, rewarded=TYPES[kind]).to_pylist()
    weights = {row["request_id"]: row["weight"] for row in log}
    users: dict[tuple[str, str], list[float]] = defaultdict(lambda: [0.0] * 4)
    for row in shown:
        weight = weights[row["request_id"]]
        share = 1 - weight if row["variant"] == "canary" else weight
        for part, more in enumerate((1.0, row["clicked"], share * row["clicked"], share)):
            users[row["variant"], row["user_id"]][part] += more
    return Rate(_sums(users, "canary"), _sums(users, "stable"), _both(users))


def _both(users: dict[tuple[str, str], list[float]]) -> Products:
    pairs = [(each[2:], users["stable", user][2:]) for (whose, user), each in list(users.items()) if whose == "canary"]
    return Products(*(sum(ours[i] * theirs[j] for ours, theirs in pairs) for i in (0, 1) for j in (0, 1)))


def _sums(users: dict[tuple[str, str], list[float]], variant: str) -> RateSums:
    mine = [each for (whose, _), each in users.items() if whose == variant]
    a, b = [each[2] for each in mine], [each[3] for each in mine]
    raw = (float(len(mine)), sum(each[0] for each in mine), sum(each[1] for each in mine))
    products = [sum(x * y for x, y in zip(*pair, strict=True)) for pair in ((a, a), (a, b), (b, b))]
    return RateSums(*raw, sum(a), sum(b), *products)


def close(found: Joined, expected: Rate, kind: str) -> bool:
    rate = found.rate(kind)
    if rate is None:
        return not expected.canary.users + expected.stable.users
    return flat(rate) == pytest.approx(flat(expected))


def flat(rate: Rate) -> tuple[float, ...]:
    return tuple(value for part in astuple(rate) for value in part)


ITEMS = st.sampled_from("abc")
REQUESTS = st.tuples(st.sampled_from("uvw"), st.booleans(), st.integers(0, 30), st.lists(ITEMS, max_size=3))
ANSWERS = st.tuples(st.integers(0, 12), ITEMS, st.integers(0, 45), st.sampled_from(["click", "buy", "both", "view"]))
# When a row or an event is found on disk, and whether it is found twice.
LOOKS = st.tuples(st.integers(0, 2), st.one_of(st.none(), st.integers(0, 2)))


@settings(max_examples=10)
@given(st.data())
def test_looks_come_to_what_joining_everything_at_once_gives(data: st.DataObject) -> None:
    asked = [request(number, *one) for number, one in enumerate(data.draw(st.lists(REQUESTS, min_size=1, max_size=12)))]
    answered = [event(*one) for one in data.draw(st.lists(ANSWERS, max_size=40, unique=True))]
    nows = sorted(data.draw(st.lists(st.integers(0, 60), min_size=3, max_size=3)))
    when = {id(row): data.draw(LOOKS) for row in (*asked, *answered)}
    joined, log, events = Joined(window=WINDOW, types=TYPES), [], []

    for look, now in enumerate(nows):
        new = [[row for row in rows if look in when[id(row)]] for rows in (asked, answered)]
        log, events = log + new[0], events + new[1]
        tables = pa.Table.from_pylist(new[0], schema=LOG), pa.Table.from_pylist(new[1], schema=EVENTS)
        joined.add(*tables, now=at(now))

    anew = Joined(window=WINDOW, types=TYPES)
    anew.add(pa.Table.from_pylist(log, schema=LOG), pa.Table.from_pylist(events, schema=EVENTS), now=at(nows[-1]))
    for kind in KINDS:
        expected = whole(log, events, kind, now=at(nows[-1]))
        assert close(joined, expected, kind)
        assert close(anew, expected, kind)


def test_an_event_that_comes_long_after_the_window_still_counts_for_its_own_moment() -> None:
    joined = Joined(window=WINDOW, types=TYPES)
    empty = pa.Table.from_pylist([], schema=LOG), pa.Table.from_pylist([], schema=EVENTS)
    joined.add(pa.Table.from_pylist([request(1, "u", False, 0, ["a", "b"])], schema=LOG), empty[1], now=at(20))

    joined.add(empty[0], pa.Table.from_pylist([event(1, "a", 9, "click")], schema=EVENTS), now=at(900))
    joined.add(empty[0], pa.Table.from_pylist([event(1, "b", 10, "click")], schema=EVENTS), now=at(901))

    found = joined.rate("clicks")
    assert found is not None
    assert (found.stable.impressions, found.stable.clicks, found.stable.aa) == (2, 1, 0.25**2)


def test_ids_and_slates_come_back_by_variant_and_time() -> None:
    joined = Joined(window=WINDOW, types=TYPES)
    rows = [request(n, f"u{n % 2}", n == 3, n, ["a", "b"][: 1 + n % 2]) | {"bucket": n or None} for n in range(5)]

    joined.add(pa.Table.from_pylist(rows, schema=LOG), pa.Table.from_pylist([], schema=EVENTS), now=at(20))

    assert joined.units() == {False: (4, 1, 2), True: (1, 0, 1)}
    assert joined.units(at(3)) == {False: (1, 0, 1), True: (1, 0, 1)}
    assert [[len(slate) for slate in each] for each in joined.slates(at(1))] == [[2], [1, 1, 2]]
    assert joined.newest() == at(4)
