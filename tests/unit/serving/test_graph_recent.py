"""The next request sees what was just done: once, whether the store has it by then or not."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from serving_parts import NOW, FakeRecommender, ids_of, tiny_runtime

from feature_repo.dataset.split import to_microseconds
from feature_repo.stream.payload import StreamEvent
from feature_repo.stream.state import UserState, advance, row_of
from serving.events import Event
from serving.graph.overlay import with_recent
from serving.graph.recent import RecentEvents
from serving.graph.user import Stored, user_of
from serving.http import RecommendQuery
from serving.runtime import Runtime

MOMENT_US = to_microseconds(NOW)
ITEM_IDS = st.sampled_from([f"i{n}" for n in range(5)])
STREAM = st.lists(
    st.builds(
        lambda item, at, liked: (item, MOMENT_US - 86_400_000_000 + at, liked),
        ITEM_IDS,
        st.integers(0, 80_000_000_000),
        st.booleans(),
    ),
    max_size=8,
    unique_by=lambda event: event[1],
)


def streamed(number: int, item: str, moment_us: int, liked: bool) -> StreamEvent:
    return StreamEvent(f"e{number}", "u", item, moment_us, liked, 0)


def event(number: int, item_id: str, event_type: str = "view", *, user_id: str = "u", at: datetime = NOW) -> Event:
    return Event(f"e{number}", user_id, item_id, at, event_type, None, None, None, None, {})


@settings(max_examples=200, deadline=None)
@given(arrived=STREAM, taken=st.integers(0, 8))
def test_the_row_is_what_the_consumer_will_write_however_much_it_has_written_yet(
    arrived: list[tuple[str, int, bool]], taken: int
) -> None:
    """`taken` of the events in order of arrival are in the store; all of them are in the overlay."""
    events = [streamed(number, *values) for number, values in enumerate(sorted(arrived, key=lambda e: e[1]))]
    stored = row_of(advance(UserState(), events[:taken])) if taken and events else {}

    found = with_recent(stored, events, moment_us=MOMENT_US)

    assert found == (row_of(advance(UserState(), events)) if events else {})


def test_an_event_that_is_stamped_after_the_requests_moment_counts_as_met_just_then() -> None:
    old = datetime(1998, 4, 23, tzinfo=UTC)

    found = with_recent({}, [streamed(1, "i1", MOMENT_US, True)], moment_us=to_microseconds(old))

    assert (found["history_items"], found["history_times"]) == (["i1"], [to_microseconds(old)])


def test_an_event_that_arrives_twice_counts_once() -> None:
    recent = RecentEvents(users=10)

    recent.add([event(1, "i1")])
    recent.add([event(1, "i1"), event(2, "i2")])

    assert [e.item_id for e in recent.of("u").events] == ["i1", "i2"]
    assert recent.of("u").arrived == 2


def test_a_type_that_the_data_set_does_not_declare_is_no_event_unless_it_hides() -> None:
    recent = RecentEvents(users=10, weights={"view": 1.0, "return": -1.0})

    recent.add([event(1, "i1", "scroll"), event(2, "i2", "return"), event(3, "i3", "dislike"), event(4, "i4")])

    found = recent.of("u")
    assert [(e.item_id, e.liked) for e in found.events] == [("i2", False), ("i3", False), ("i4", True)]
    assert found.hidden == ("i2", "i3")  # what came back is not wanted, as what was hidden


def test_an_event_without_consent_changes_no_feature_and_hides_all_the_same() -> None:
    recent, strict = RecentEvents(users=10), RecentEvents(users=10, consent_required=True)
    events = [replace(event(1, "i1"), consent=False), replace(event(2, "i2", "hide"), consent=False)]

    recent.add([*events, event(3, "i3")])
    strict.add([event(3, "i3"), replace(event(4, "i4"), consent=True)])

    assert [e.item_id for e in recent.of("u").events] == ["i3"]
    assert recent.of("u").hidden == ("i2",)
    assert [e.item_id for e in strict.of("u").events] == ["i4"]


def test_the_user_who_was_heard_of_longest_ago_is_forgotten_first() -> None:
    recent = RecentEvents(users=2)

    for number, user in enumerate(("a", "b", "a", "c")):
        recent.add([event(number, "i1", user_id=user)])

    assert [bool(recent.of(user).events) for user in ("a", "b", "c")] == [True, False, True]


def ask(runtime: Runtime, user_id: str = "u", **fields: Any) -> dict[str, Any]:
    query = {"k": 10, "moment": None, "context": {}, "exclude": frozenset(), "session": ()} | fields
    return runtime.recommend(RecommendQuery(user_id, **query), now=NOW)


def test_an_event_is_in_the_history_of_the_next_request_and_of_nobody_elses(client: Any, runtime: Runtime) -> None:
    body = {"user_id": "u", "item_id": "i4", "timestamp": "2024-04-30T12:00:00Z", "event_type": "view"}
    client.post("/events", json=[body])

    client.post("/recommend", json={"user_id": "u", "session": ["i4", "i5"]})
    client.post("/recommend", json={"user_id": "other"})

    (request, mine), (_, others) = runtime.recommender.asked[-2:]  # type: ignore[attr-defined]
    assert (mine["history_items"], mine["user_event_count"], others) == (["i4"], 1, {})
    assert request.session == ("i5",)  # what the page says and what it sent are one meeting


def test_what_was_just_met_is_not_shown_again_where_repeats_are_forbidden(runtime: Runtime, tmp_path: Any) -> None:
    forbids = FakeRecommender(repeats=False)
    once = tiny_runtime(tmp_path, runtime.settings, runtime.metrics, runtime.log, recommender=forbids)
    once.recent.add([event(1, "i0")])  # type: ignore[attr-defined]

    assert "i0" not in ids_of(ask(once)["items"])


def test_a_hidden_item_is_gone_and_its_like_sink_from_the_next_request_on(runtime: Runtime) -> None:
    before = {item["item_id"]: item["score"] for item in ask(runtime)["items"]}
    runtime.recent.add([event(1, "i1", "hide")])  # type: ignore[attr-defined]

    after = {item["item_id"]: item["score"] for item in ask(runtime)["items"]}

    assert before.keys() - after.keys() == {"i1"}
    # The scores' span is 8 without i1. i2 is at 10 degrees to it, i9 at 80: as good as nothing in common.
    assert after["i2"] - before["i2"] == pytest.approx(-8 * 0.5 * (np.cos(np.pi / 18) - 0.3) / 0.7, abs=1.01)
    assert after["i9"] > before["i9"]  # by the place that became free
    assert ids_of(ask(runtime, "other")["items"]) == list(before)


def test_an_item_that_was_hidden_before_a_restart_stays_hidden(runtime: Runtime, tmp_path: Any) -> None:
    from serving.opened import last_received

    hidden = event(1, "i1", "hide", at=NOW - timedelta(days=1))
    runtime.inbox.receive([event(0, "i2"), hidden])

    assert last_received(tmp_path / "store" / "received") == [event(0, "i2"), hidden]


def test_a_type_that_the_data_set_weighs_negatively_hides_its_item_by_whatever_name() -> None:
    recent = RecentEvents(users=10, weights={"view": 1.0, "thumbs down": -1.0})

    recent.add([event(1, "i1"), event(2, "i2", "thumbs down"), event(3, "i3", "dislike")])

    assert recent.of("u").hidden == ("i2", "i3")
    assert [streamed.hides for streamed in recent.of("u").events] == [False, True, True]


def test_what_the_store_knows_as_hidden_counts_beside_what_was_hidden_just_now() -> None:
    recent = RecentEvents(users=10)
    recent.add([event(1, "i2", "hide"), event(2, "i3", "hide")])

    before = [replace(streamed(n, item, MOMENT_US - 9, False), hides=True) for n, item in ((8, "i1"), (9, "i2"))]
    user = user_of(Stored(row_of(advance(UserState(), before))), recent.of("u"), NOW)

    assert user.hidden == ("i1", "i2", "i3")
