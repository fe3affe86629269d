"""The parts of the leak check: what it looks at, what was known then, and how the two are compared."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_repo.core.errors import LeakFound
from feature_repo.dataset.declaration import Dataset, EntityTable, Events
from training.leaks.compare import compare, same
from training.leaks.oracle import END, build_worlds, newest_rows
from training.leaks.probes import Asked, LateRows, Probe, asked_items, asked_users, choose_probes
from training.replay import Moment

DAY = 86_400_000_000


def at(day: float) -> int:
    """Microseconds of the given day after 2026-01-01, UTC."""
    return 1_767_225_600_000_000 + int(day * DAY)


NOBODY = LateRows(np.zeros(0, object), np.zeros(0, np.int64), np.zeros(0, np.int64))
ASKED = [Moment(f"u{n % 5}", at(n), (f"i{n}", "i0")) for n in range(30)]
DATASET = Dataset(
    name="tiny",
    events=Events(path="-", columns={"user_id": "u", "item_id": "i", "timestamp": "t"}, event_type="view"),
    items=EntityTable(path="-", key="i", categorical=("maker",), valid_from="since", recorded="written"),
    weights={"view": 1.0},
    repeat_consumption=False,
)


def probes(seed: int = 0, requests: int = 4, users: LateRows = NOBODY, items: LateRows = NOBODY) -> list[Probe]:
    return choose_probes(
        ASKED,
        items=np.array(["a", "b", "c"], object),
        requests=requests,
        late_users=users,
        late_items=items,
        rng=np.random.default_rng(seed),
    )


def late(key: str, holds: float, recorded: float) -> LateRows:
    return LateRows(np.array([key], object), np.array([at(holds)]), np.array([at(recorded)]))


def test_a_probe_is_a_request_of_the_run_with_an_item_that_it_went_on_to_and_others() -> None:
    chosen = probes(requests=30)

    assert sorted(p.asked.moment_us for p in chosen) == [m.moment_us for m in ASKED]
    assert all(p.items[0] in p.asked.items and set(p.items[1:]) <= {"a", "b", "c"} for p in chosen)


@given(seed=st.integers(0, 99), holds=st.floats(0, 29), lasted=st.floats(1, 9))
def test_a_request_that_a_late_row_could_leak_into_is_always_chosen(seed: int, holds: float, lasted: float) -> None:
    corrected = late("i7", holds, holds + lasted)

    chosen = probes(seed, requests=1, items=corrected)

    (aimed,) = [p for p in chosen if p.items == ("i7",)]
    assert at(holds) <= aimed.asked.moment_us <= at(holds + lasted)


def test_a_person_whose_row_came_late_is_asked_for_in_between() -> None:
    between = probes(requests=1, users=late("u2", 10, 20))[1:]

    assert sorted(p.asked.moment_us for p in between) == [at(12), at(17)]


def test_the_same_seed_chooses_the_same_probes() -> None:
    assert probes(7) == probes(7)
    assert probes(7) != probes(8)


def stamps(days: tuple[float, ...]) -> pa.Array:
    return pa.array([at(day) for day in days], pa.int64()).cast(pa.timestamp("us", "UTC"))


def write_tables(folder: Path) -> dict[str, Path]:
    """Ann and Bob; the maker of `a` was corrected on day 3.5, back to day 0, and is another one from day 9 on."""
    log = [("ann", "a", at(0)), ("bob", "a", at(1)), ("ann", "b", at(2)), ("ann", "c", at(3)), ("bob", "a", at(4))]
    rows = [("a", "old", 0, 0), ("a", "mended", 0, 3.5), ("a", "next", 9, 9), ("b", "other", 0, 0)]
    ids, makers, since, written = zip(*rows, strict=True)
    items = pa.table({"item_id": ids, "maker": makers, "valid_from": stamps(since), "recorded": stamps(written)})
    users, met, moments_us = zip(*log, strict=True)
    events = {"event_id": list("abcde"), "user_id": users, "item_id": met, "event_type": ["view"] * len(log)}
    times = pa.array(moments_us, pa.int64()).cast(pa.timestamp("us", "UTC"))
    pq.write_table(pa.table({**events, "timestamp": times}), folder / "events.parquet")
    pq.write_table(items, folder / "items.parquet")
    return {"user_id": folder / "no-users.parquet", "item_id": folder / "items.parquet"}


def test_every_probe_sees_its_own_past_and_nothing_later(tmp_path: Path) -> None:
    asked = [Probe(Moment("ann", at(3), ("c",)), ("c", "a")), Probe(Moment("bob", at(4), ("a",)), ("a",))]
    entities = write_tables(tmp_path)

    build_worlds(DATASET, asked, events=tmp_path / "events.parquet", entities=entities, folder=tmp_path / "worlds")

    users = columns(newest_rows(tmp_path / "worlds", asked_users(asked), "user_id"))
    assert users["user_event_count"] == [2, 1]
    assert users["history_items"] == [[f"0{END}a", f"0{END}b"], [f"1{END}a"]]
    assert users["taste_maker"] == [["old", "other"], ["old"]]
    items = columns(newest_rows(tmp_path / "worlds", asked_items(asked), "item_id"))
    assert items["item_event_count"] == [None, 2, 2]
    assert items["item_users_7d"] == [None, 2, 2]
    assert items["maker"] == [None, "old", "mended"]


def columns(tables: dict[str, pa.Table]) -> dict[str, list[Any]]:
    return {name: table[name].to_pylist() for table in tables.values() for name in table.column_names}


def stored(**features: list[Any]) -> pa.Table:
    return pa.table({"user_id": ["17"] * 2, "event_timestamp": [0, 0], **features})


TWO = Asked(np.array([0, 1]), np.array(["17", "17"], object), np.array([at(0), at(59)]))


def test_two_nulls_agree_and_are_no_evidence() -> None:
    known = {"user_activity": pa.table({"count": [None, 3], "age": pa.nulls(2)})}

    found = compare(stored(count=[None, 3], age=[float("nan"), None]), known, TWO, key="user_id")

    assert (found.rows, found.values) == (2, {"count": 1, "age": 0})


def test_ids_are_compared_as_they_stand_in_the_log() -> None:
    known = {"user_history": pa.table({"items": [[f"0{END}a"], [f"1{END}a", f"1{END}0{END}"]]})}

    found = compare(stored(items=[["a"], ["a", f"0{END}"]]), known, TWO, key="user_id")

    assert found.values == {"items": 2}


@pytest.mark.parametrize(
    ("got", "known", "sentence"),
    [
        (
            4,
            3,
            "gives count = 4 for user 17 at 2026-03-01T00:00:00+00:00; the log before that moment gives 3: a feature",
        ),
        (4, None, "the log before that moment gives nothing: a feature sees the future"),
        (list("abcde"), list("abcd"), "5 values that end in 'c', 'd', 'e' for user 17"),
        ("Oslo", "Rome", "count = 'Oslo' for user 17"),
        (0.1, 0.2, "count = 0.1 for user 17"),
    ],
)
def test_a_difference_is_one_sentence_with_both_values(got: Any, known: Any, sentence: str) -> None:
    kind = pa.array([got]).type

    with pytest.raises(LeakFound) as caught:
        compare(
            stored(count=pa.array([None, got], kind)),
            {"view": pa.table({"count": pa.array([None, known], kind)})},
            TWO,
            key="user_id",
        )

    assert sentence in str(caught.value)
    assert str(caught.value).endswith(": a feature sees the future")


def test_a_feature_that_no_transform_makes_is_not_taken_on_trust() -> None:
    with pytest.raises(LeakFound, match="holds mood, which the transforms do not make from the log"):
        compare(stored(mood=[1, 2]), {"view": pa.table({"count": [1, 2]})}, TWO, key="user_id")


values = st.recursive(
    st.none() | st.integers(-3, 3) | st.sampled_from("ab") | st.floats(allow_nan=True, allow_infinity=False),
    lambda cells: st.lists(cells, max_size=3),
    max_leaves=4,
)


@given(one=values, other=values)
def test_sameness_holds_both_ways_and_for_every_value_with_itself(one: Any, other: Any) -> None:
    assert same(one, one)
    assert same(one, other) == same(other, one)


def test_a_sum_in_another_order_is_the_same_and_a_number_beside_it_is_not() -> None:
    assert same(0.1 + 0.2, 0.3)
    assert not same(0.3, 0.3001)
    assert not same([1, 2], [2, 1])
    assert not same([], None)
