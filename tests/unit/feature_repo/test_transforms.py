from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_log import DAY, Event, at, event_log

from feature_repo.dataset.declaration import Dataset, Events
from feature_repo.transforms.build import feature_tables

DATASET = Dataset(
    name="tiny",
    events=Events(path="-", columns={"user_id": "u", "item_id": "i", "timestamp": "t"}, event_type="view"),
    weights={"view": 1.0},
    repeat_consumption=False,
)


def states(events: list[Event], view: str) -> list[dict[str, Any]]:
    table = feature_tables(DATASET, events=event_log(events), users=None, items=None)[view]
    key = "item_id" if view == "item_popularity" else "user_id"
    arrow = table.order_by([key, "event_timestamp"]).to_pyarrow()
    stamps = arrow["event_timestamp"].cast(pa.timestamp("us", "UTC")).cast(pa.int64())
    return arrow.set_column(arrow.column_names.index("event_timestamp"), "event_timestamp", stamps).to_pylist()


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


def test_history_keeps_the_last_fifty_items_and_seen_all_of_them() -> None:
    events = [("ann", f"i{n:02d}", at(n)) for n in range(60)]

    last, seen = states(events, "user_history")[-1], states(events, "user_seen")[-1]

    assert last["history_items"] == [f"i{n:02d}" for n in range(10, 60)]
    assert seen["seen_items"] == [f"i{n:02d}" for n in range(60)]


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


@pytest.mark.parametrize("view", ["user_activity", "user_history", "user_seen", "item_popularity"])
@settings(max_examples=15, deadline=None)
@given(before=logs, after=logs, other=logs)
def test_what_happens_after_a_moment_changes_no_state_at_or_before_it(
    view: str, before: list[Event], after: list[Event], other: list[Event]
) -> None:
    cut = max(t for _, _, t in before)
    later = [(u, i, t + cut - at(0) + 1) for u, i, t in after]
    changed = [(u, i, t + cut - at(0) + 1) for u, i, t in other]

    one = [row for row in states([*before, *later], view) if row["event_timestamp"] <= cut + 1]
    two = [row for row in states([*before, *changed], view) if row["event_timestamp"] <= cut + 1]

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
