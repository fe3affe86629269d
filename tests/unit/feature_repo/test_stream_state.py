"""The state of the stream against the batch transforms: the same events, the same rows."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import ibis
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from tiny_log import DAY, at, typed_log

from feature_repo.dataset.declaration import Dataset
from feature_repo.stream.item_values import ItemValues, read_item_values
from feature_repo.stream.payload import StreamEvent
from feature_repo.stream.state import UserState, advance, row_of, rows_of, state_of_row
from feature_repo.transforms.build import feature_tables
from feature_repo.transforms.moments import as_log
from feature_repo.transforms.state import thousandths

VIEWS = ("user_activity", "user_history", "user_tastes", "user_seen", "user_hidden")
DATASET = Dataset.model_validate(
    {
        "name": "shop",
        "events": {
            "path": "events.csv",
            "columns": {"user_id": "u", "item_id": "i", "timestamp": "t", "event_type": "k", "value": "v"},
        },
        "items": {"path": "items.csv", "key": "item", "categorical": ["brand"], "multi": ["tags"]},
        "weights": {"view": 1, "buy": 3, "hide": -1},
        "repeat_consumption": False,
    }
)
Raw = tuple[str, str, int, str, float | None]  # user, item, microseconds, event type, value


def items_table() -> pa.Table:
    """Items 0 to 8; every third has no brand, item 4 no tags, and item 9 is not in the table."""
    rows = [
        {"item_id": f"i{n}", "brand": None if n % 3 == 0 else f"b{n % 2}", "tags": [] if n == 4 else [f"t{n}", "all"]}
        for n in range(9)
    ]
    kinds = [("item_id", pa.string()), ("brand", pa.string()), ("tags", pa.list_(pa.string()))]
    table = pa.Table.from_pylist(rows, schema=pa.schema(kinds))
    return table.append_column("valid_from", pa.nulls(9, pa.timestamp("us", "UTC")))


def batch(events: list[Raw], *, until: int) -> dict[str, dict[str, dict[str, Any]]]:
    """For each view the last row of each user that the batch transforms make of the events before `until`."""
    log = typed_log(events)
    tables = feature_tables(
        DATASET,
        log=ibis.memtable(as_log(log)),
        users=None,
        items=ibis.memtable(items_table()),
        first_event=datetime(1970, 1, 2, tzinfo=UTC),
    )
    connection = ibis.duckdb.connect()
    connection.raw_sql("SET TimeZone = 'UTC'")
    rows: dict[str, dict[str, dict[str, Any]]] = {}
    for view in VIEWS:
        found = connection.to_pyarrow(tables[view].order_by("event_timestamp"))
        stamps = found["event_timestamp"].cast(pa.timestamp("us", "UTC")).cast(pa.int64())
        table = found.set_column(found.column_names.index("event_timestamp"), "event_timestamp", stamps)
        rows[view] = {row["user_id"]: row for row in table.to_pylist() if row["event_timestamp"] <= until}
    return rows


def streamed(events: list[Raw]) -> dict[str, list[StreamEvent]]:
    by_user: dict[str, list[StreamEvent]] = {}
    for n, (user, item, moment, kind, value) in enumerate(events):
        liked = DATASET.weights[kind] > 0
        hides = DATASET.weights[kind] < 0
        event = StreamEvent(f"{n:06d}", user, item, moment, liked, thousandths(value), hides)
        by_user.setdefault(user, []).append(event)
    return by_user


def after_stream(events: list[Raw], *, cut: int, tmp_path: Path) -> dict[str, dict[str, dict[str, Any]]]:
    """The rows of each view after a batch over the events before `cut` and a stream of the others, as they came."""
    early = [event for event in events if event[2] < cut]
    bases = batch(early, until=cut) if early else {view: {} for view in VIEWS}
    values_of = metadata(tmp_path)
    rows: dict[str, dict[str, dict[str, Any]]] = {view: dict(bases[view]) for view in VIEWS}
    for user, came in streamed([event for event in events if event[2] >= cut]).items():
        base = {name: value for view in VIEWS for name, value in bases[view].get(user, {}).items()}
        state = state_of_row(base)
        for chunk in (came[::2], came[1::2]):
            state = advance(state, chunk)
        for view, row in rows_of(user, state, VIEWS, values_of).items():
            rows[view][user] = row
    return rows


def metadata(tmp_path: Path) -> ItemValues:
    table = items_table().drop(["valid_from"])
    stamps = pa.array([datetime(1970, 1, 2, tzinfo=UTC)] * 9, pa.timestamp("us", "UTC"))
    pq.write_table(table.append_column("event_timestamp", stamps), tmp_path / "item_metadata.parquet")
    return read_item_values(tmp_path / "item_metadata.parquet", ("brand", "tags"))


def without_stamps(rows: dict[str, dict[str, dict[str, Any]]]) -> dict[str, dict[str, dict[str, Any]]]:
    return {
        view: {u: {n: v for n, v in row.items() if n != "event_timestamp"} for u, row in users.items()}
        for view, users in rows.items()
    }


raw_events = st.lists(
    st.tuples(
        st.sampled_from(["u1", "u2", "u3", "u4"]),
        st.sampled_from([f"i{n}" for n in range(10)]),
        st.sampled_from([at(0), at(0.5), at(0.5) + 1, at(1), at(1.2), at(30), at(31)]),
        st.sampled_from(["view", "buy", "hide"]),
        st.sampled_from([None, 0.0, 1.25, -0.0005, 12.3456]),
    ),
    min_size=1,
    max_size=60,
)


@given(events=raw_events, cut=st.sampled_from([at(0), at(0.5) + 1, at(1.1)]))
# Every example is a query or ten: a failure is shown as it was found.
@settings(max_examples=6, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
def test_a_stream_over_the_second_part_gives_what_a_batch_over_everything_gives(
    tmp_path_factory: pytest.TempPathFactory, events: list[Raw], cut: int
) -> None:
    found = after_stream(events, cut=cut, tmp_path=tmp_path_factory.mktemp("items"))

    assert without_stamps(found) == without_stamps(batch(events, until=at(1_000)))


def test_capped_lists_end_as_the_batch_ends_them(tmp_path: Path) -> None:
    """A user with 1,400 events over 150 days: more than every cap, out of order."""
    rng = np.random.default_rng(5)
    days = np.sort(rng.integers(0, 150, size=1_400))
    kinds = rng.choice(["view", "buy", "hide"], p=[0.6, 0.2, 0.2], size=1_400)
    events: list[Raw] = [
        ("u1", f"i{rng.integers(12)}", at(float(day) + float(rng.integers(4)) / 4), str(kind), float(rng.integers(9)))
        for day, kind in zip(days, kinds, strict=True)
    ]
    rng.shuffle(events)

    found = after_stream(events, cut=at(60), tmp_path=tmp_path)

    expected = batch(events, until=at(1_000))
    assert without_stamps(found) == without_stamps(expected)
    row = expected["user_activity"]["u1"] | expected["user_history"]["u1"] | expected["user_seen"]["u1"]
    assert [len(row[name]) for name in ("user_days", "history_items", "seen_items")] == [90, 200, 1_000]


event_lists = st.lists(
    st.builds(
        StreamEvent,
        event_id=st.uuids().map(str),
        user_id=st.just("u1"),
        item_id=st.sampled_from(["a", "b", "ü", "\U0001f600"]),
        moment_us=st.integers(at(0), at(3)),
        liked=st.booleans(),
        thousandths=st.integers(-5, 5),
    ),
    min_size=1,
    max_size=12,
)


@given(events=event_lists, order=st.randoms(use_true_random=False), parts=st.integers(1, 4))
def test_the_order_in_which_events_come_does_not_matter_and_the_stamp_always_advances(
    events: list[StreamEvent], order: Any, parts: int
) -> None:
    shuffled = list(events)
    order.shuffle(shuffled)

    state = UserState()
    for part in range(parts):
        before, state = state, advance(state, shuffled[part::parts])
        assert state.stamp_us > before.stamp_us or not shuffled[part::parts]

    assert row_of(state) == row_of(advance(UserState(), events))
    assert state.stamp_us > max(event.moment_us for event in events)


@given(events=event_lists)
def test_a_state_is_made_again_from_its_row(events: list[StreamEvent]) -> None:
    state = advance(UserState(), events)

    assert row_of(state_of_row(row_of(state))) == row_of(state)


def test_a_clock_that_jumps_back_puts_the_event_on_its_own_day() -> None:
    now = advance(UserState(), [StreamEvent("1", "u1", "b", at(5), True, 10)])

    late = advance(now, [StreamEvent("2", "u1", "a", at(4), True, 7)])

    assert row_of(late) == {
        "user_event_count": 2,
        "user_first_event": at(4),
        "user_last_event": at(5),
        "user_amount": 17,
        "user_days": [at(4) // DAY, at(5) // DAY],
        "user_counts": [1, 1],
        "user_amounts": [7, 10],
        "history_items": ["a", "b"],
        "history_times": [at(4), at(5)],
        "seen_items": ["a", "b"],
        "hidden_items": [],
    }
    assert (now.stamp_us, late.stamp_us) == (at(5) + 1, at(5) + 2)


def test_a_user_who_liked_nothing_has_no_history_and_no_tastes() -> None:
    state = advance(UserState(), [StreamEvent("1", "u1", "a", at(1), False, 0)])

    rows = rows_of("u1", state, VIEWS, ItemValues(("brand", "tags"), {}))

    assert set(rows) == {"user_activity", "user_seen"}


def test_what_a_user_hid_is_a_row_of_its_own_whatever_else_they_liked() -> None:
    state = advance(UserState(), [StreamEvent("1", "u1", "a", at(1), True, 0)])
    state = advance(state, [StreamEvent("3", "u1", "c", at(3), False, 0, hides=True)])
    state = advance(state, [StreamEvent("2", "u1", "b", at(2), False, 0, hides=True)])

    rows = rows_of("u1", state, VIEWS, ItemValues(("brand", "tags"), {}))

    assert rows["user_hidden"]["hidden_items"] == ["b", "c"]
    assert rows["user_history"]["history_items"] == ["a"]
    assert state_of_row(row_of(state)).hidden == ((at(3), "b"), (at(3), "c"))


def test_no_events_leave_a_state_as_it_is() -> None:
    state = UserState(event_count=1, stamp_us=7)

    assert advance(state, []) is state


def test_a_view_that_no_state_is_known_for_is_an_error() -> None:
    state = advance(UserState(), [StreamEvent("1", "u1", "a", at(1), True, 0)])

    with pytest.raises(KeyError, match="user_moods"):
        rows_of("u1", state, ["user_moods"], ItemValues((), {}))
