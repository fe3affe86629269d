from datetime import UTC, datetime
from typing import Any

import ibis
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_log import DAY, Event, at, event_log, typed_log

from feature_repo.dataset.declaration import Dataset, EntityTable, Events
from feature_repo.transforms.build import feature_tables, key_of
from feature_repo.transforms.moments import as_log
from feature_repo.transforms.sequences import last_of_user
from feature_repo.transforms.state import HISTORY_ITEMS, thousandths

COLUMNS = {"user_id": "u", "item_id": "i", "timestamp": "t"}
DATASET = Dataset(
    name="tiny",
    events=Events(path="-", columns=COLUMNS, event_type="view"),
    weights={"view": 1.0},
    repeat_consumption=False,
)
SHOP = Dataset(
    name="shop",
    events=Events(path="-", columns={**COLUMNS, "event_type": "e", "value": "v"}),
    items=EntityTable(path="-", key="i", categorical=("brand",), multi=("tags",), valid_from="since"),
    weights={"purchase": 3.0, "view": 1.0, "hide": -1.0},
)


def rows_of(dataset: Dataset, log: pa.Table, view: str, items: pa.Table | None = None) -> list[dict[str, Any]]:
    tables = feature_tables(
        dataset,
        log=ibis.memtable(as_log(log)),
        users=None,
        items=None if items is None else ibis.memtable(items),
        first_event=datetime(2026, 1, 1, tzinfo=UTC),
    )
    arrow = tables[view].order_by([key_of(view), "event_timestamp"]).to_pyarrow()
    stamps = arrow["event_timestamp"].cast(pa.timestamp("us", "UTC")).cast(pa.int64())
    return arrow.set_column(arrow.column_names.index("event_timestamp"), "event_timestamp", stamps).to_pylist()


def states(events: list[Event], view: str) -> list[dict[str, Any]]:
    return rows_of(DATASET, event_log(events), view)


def test_activity_counts_every_event_up_to_the_moment_by_day() -> None:
    found = states([("ann", "a", at(0)), ("ann", "b", at(0.5)), ("ann", "c", at(3))], "user_activity")

    assert [row["user_event_count"] for row in found] == [1, 2, 3]
    day = at(0) // DAY
    assert [row["user_days"] for row in found] == [[day], [day], [day, day + 3]]
    assert [row["user_counts"] for row in found] == [[1], [2], [2, 1]]
    assert found[2]["user_first_event"] == at(0)
    assert found[2]["user_last_event"] == at(3)


def test_a_state_is_stamped_one_microsecond_after_its_last_event() -> None:
    found = states([("ann", "a", at(0)), ("ann", "b", at(1))], "user_activity")

    assert [row["event_timestamp"] for row in found] == [at(0) + 1, at(1) + 1]


def test_events_of_one_user_at_one_time_are_one_moment() -> None:
    events = [("ann", "a", at(0)), ("ann", "b", at(1)), ("ann", "c", at(1))]

    activity, history = states(events, "user_activity"), states(events, "user_history")

    assert [row["user_event_count"] for row in activity] == [1, 3]
    assert [row["history_items"] for row in history] == [["a"], ["a", "b", "c"]]
    assert history[1]["history_times"] == [at(0), at(1), at(1)]


def test_history_keeps_the_last_items_and_seen_all_of_them() -> None:
    events = [("ann", f"i{n:03d}", at(n)) for n in range(HISTORY_ITEMS + 60)]

    last, seen = states(events, "user_history")[-1], states(events, "user_seen")[-1]

    assert last["history_items"] == [f"i{n:03d}" for n in range(60, HISTORY_ITEMS + 60)]
    assert last["history_times"] == [at(n) for n in range(60, HISTORY_ITEMS + 60)]
    assert seen["seen_items"] == [f"i{n:03d}" for n in range(HISTORY_ITEMS + 60)]


@settings(max_examples=20, deadline=None)
@given(times=st.lists(st.integers(0, 6), min_size=1, max_size=14), limit=st.integers(1, 5))
def test_a_list_holds_the_last_values_whatever_the_limit(times: list[int], limit: int) -> None:
    """The lists are put together from blocks; a moment may lie anywhere in one."""
    log = event_log([("ann", f"i{n:02d}", at(day)) for n, day in enumerate(times)])

    lists = last_of_user(ibis.memtable(as_log(log)), limit=limit, columns={"items": "item_id"})
    found = lists.order_by("event_timestamp").to_pyarrow()["items"].to_pylist()

    ordered = sorted((day, f"i{n:02d}") for n, day in enumerate(times))
    expected = [[item for when, item in ordered if when <= day][-limit:] for day in sorted(set(times))]
    assert found == expected


def test_buckets_keep_the_last_ninety_days_with_events() -> None:
    found = states([("ann", "a", at(2 * n)) for n in range(100)], "user_activity")[-1]

    assert len(found["user_days"]) == len(found["user_counts"]) == 90
    assert found["user_days"][-1] == at(198) // DAY
    assert found["user_event_count"] == 100


def test_an_item_is_popular_through_all_users() -> None:
    found = states([("ann", "a", at(0)), ("bob", "a", at(0)), ("bob", "b", at(1))], "item_popularity")

    assert [(row["item_id"], row["item_event_count"]) for row in found] == [("a", 2), ("b", 1)]


moments = st.integers(0, 8).map(lambda half_day: at(half_day / 2))
logs = st.lists(st.tuples(st.sampled_from("uvw"), st.sampled_from("abcd"), moments), min_size=1, max_size=15)


@pytest.mark.parametrize("view", ["user_activity", "user_history", "user_seen", "item_popularity", "item_reach"])
@settings(max_examples=6, deadline=None)
@given(before=logs, after=logs, other=logs)
def test_what_happens_after_a_moment_changes_no_state_at_or_before_it(
    view: str, before: list[Event], after: list[Event], other: list[Event]
) -> None:
    cut = max(t for _, _, t in before)
    later = [(u, i, t + cut - at(0) + 1) for u, i, t in after]
    changed = [(u, i, t + cut - at(0) + 1) for u, i, t in other]

    one, two = (
        [row for row in states([*before, *future], view) if row["event_timestamp"] <= cut + 1]
        for future in (later, changed)
    )

    assert one == two


def test_the_guard_against_the_own_event_is_the_microsecond() -> None:
    """A state stamped with its event's own time would be joined to the label of that very event."""
    found = states([("ann", "a", at(1))], "user_history")

    visible = [row for row in found if row["event_timestamp"] <= at(1)]

    assert visible == []


def test_moments_keep_their_microseconds() -> None:
    moment = at(0) + 86_399_999_999

    found = states([("ann", "a", moment)], "user_activity")[0]

    assert (found["user_last_event"], found["event_timestamp"]) == (moment, moment + 1)
    assert found["user_days"] == [at(0) // DAY]


def test_amounts_are_thousandths_by_day_and_a_missing_value_is_none() -> None:
    log = typed_log(
        [
            ("ann", "a", at(0), "purchase", 1.5),
            ("ann", "b", at(0.5), "view", None),
            ("ann", "c", at(0.5), "purchase", 0.0004),
            ("ann", "a", at(2), "purchase", -2.0),
        ]
    )

    found = rows_of(SHOP, log, "user_activity", shop_items())

    assert [row["user_amount"] for row in found] == [1500, 1500, -500]
    assert [row["user_amounts"] for row in found] == [[1500], [1500], [1500, -2000]]


@given(value=st.floats(-1e9, 1e9))
def test_one_value_becomes_the_thousandths_that_a_table_of_it_has(value: float) -> None:
    log = as_log(typed_log([("ann", "a", at(0), "view", value)]))

    assert log["thousandths"].to_pylist() == [thousandths(value)]


def test_what_an_item_is_worth_follows_the_events_that_have_a_value() -> None:
    log = typed_log(
        [
            ("ann", "a", at(0), "purchase", 2.0),
            ("bob", "a", at(1), "view", None),
            ("bob", "a", at(2), "purchase", 3.0),
            ("ann", "a", at(2), "purchase", 4.0),
        ]
    )

    found = rows_of(SHOP, log, "item_value", shop_items())

    assert [row["event_timestamp"] for row in found] == [at(0) + 1, at(2) + 1]
    assert [row["item_amount"] for row in found] == [2000, 9000]
    assert [row["item_valued"] for row in found] == [1, 3]
    assert [row["item_last_amount"] for row in found] == [2000, 4000]


def test_conversion_counts_each_liked_type_from_the_weakest_on() -> None:
    log = typed_log(
        [
            ("ann", "a", at(0), "view", None),
            ("bob", "a", at(1), "view", None),
            ("bob", "a", at(1), "purchase", 1.0),
            ("bob", "a", at(2), "hide", None),
        ]
    )

    found = rows_of(SHOP, log, "item_conversion", shop_items())

    assert [(row["item_step_1"], row["item_step_2"]) for row in found] == [(1, 0), (2, 1)]


def shop_items() -> pa.Table:
    """Item a changes its brand on day 1; b has no brand; c is in no table."""
    moments = pa.array([at(-1), at(1), at(-1)], pa.int64()).cast(pa.timestamp("us", "UTC"))
    return pa.table(
        {
            "item_id": ["a", "a", "b"],
            "brand": ["old", "new", None],
            "tags": [["x", "y"], ["x"], ["z"]],
            "valid_from": moments,
        }
    )


def test_tastes_are_the_categories_of_what_was_liked_as_they_were_then() -> None:
    log = typed_log(
        [
            ("ann", "a", at(0), "view", None),
            ("ann", "b", at(0.5), "purchase", 1.0),
            ("ann", "a", at(1), "view", None),
            ("ann", "b", at(1.5), "hide", None),
            ("ann", "c", at(2), "view", None),
        ]
    )

    found = rows_of(SHOP, log, "user_tastes", shop_items())

    assert [row["taste_brand"] for row in found] == [["old"], ["old"], ["old", "new"], ["old", "new"]]
    assert [row["taste_tags"] for row in found][-1] == ["x", "y", "z", "x"]
    assert [row["event_timestamp"] for row in found][-1] == at(2) + 1


@settings(max_examples=10, deadline=None)
@given(
    met=st.lists(st.tuples(st.sampled_from("uvw"), st.sampled_from("ab"), st.integers(0, 100)), min_size=1, max_size=12)
)
def test_reach_is_the_number_of_distinct_users_of_the_days_before(met: list[tuple[str, str, int]]) -> None:
    rows = rows_of(DATASET, event_log([(u, i, at(day + 0.5)) for u, i, day in met]), "item_reach")

    today = at(0) // DAY
    for item in {i for _, i, _ in met}:
        for day in range(0, 195):
            stamped = [r for r in rows if r["item_id"] == item and r["event_timestamp"] <= at(day)]
            for window in (1, 7, 30, 90):
                users = {u for u, i, met_on in met if i == item and day - window <= met_on < day}
                found = stamped[-1][f"item_users_{window}d"] if stamped else 0
                assert found == len(users), (item, day - today, window)
