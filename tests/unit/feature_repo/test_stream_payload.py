"""What a payload must be to be an event; everything else has a reason and never an exception."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_log import at

from feature_repo.dataset.cleaning import Cleaning
from feature_repo.dataset.event_id import event_id
from feature_repo.stream.payload import AHEAD_US, Refused, Rules, StreamEvent, parse, user_of

RULES = Rules({"view": 1, "hide": -1}, Cleaning(), valued=True)
NOW = at(10)
GOOD = {
    "event_id": "e1",
    "user_id": "u1",
    "item_id": "i1",
    "timestamp": "2026-01-02T00:00:00Z",
    "event_type": "view",
    "value": 1.5,
}


def parsed(**changes: Any) -> StreamEvent | Refused:
    return parse(json.dumps({**GOOD, **changes}).encode(), RULES, now_us=NOW)


def test_a_unified_event_is_an_event() -> None:
    assert parsed(context={"store": "7"}, request_id="r", position=3) == StreamEvent(
        "e1", "u1", "i1", at(1), True, 1500
    )
    assert parsed(event_type="hide") == StreamEvent("e1", "u1", "i1", at(1), False, 1500, hides=True)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"user_id": None}, "user_id is missing"),
        ({"user_id": " "}, "user_id is missing"),
        ({"user_id": ["u1"]}, "user_id is malformed"),
        ({"user_id": True}, "user_id is malformed"),
        ({"user_id": "u" * 513}, "user_id is malformed"),
        ({"item_id": ""}, "item_id is missing"),
        ({"item_id": "i\x00"}, "item_id is malformed"),
        ({"item_id": "\ud800"}, "item_id is malformed"),
        ({"event_id": "e\n"}, "event_id is malformed"),
        ({"timestamp": None}, "timestamp is missing"),
        ({"timestamp": "yesterday"}, "timestamp cannot be read"),
        ({"timestamp": [1]}, "timestamp cannot be read"),
        ({"timestamp": True}, "timestamp cannot be read"),
        ({"timestamp": float("nan")}, "timestamp cannot be read"),
        ({"timestamp": 10**30}, "timestamp cannot be read"),
        ({"timestamp": "1969-12-31T23:59:59Z"}, "timestamp is before 1970"),
        ({"timestamp": -1}, "timestamp is before 1970"),
        ({"timestamp": (NOW + AHEAD_US + 1)}, "timestamp is after now"),
        ({"event_type": None}, "event type is missing"),
        ({"event_type": "purchase"}, "event type has no weight"),
        ({"event_type": ["view"]}, "event type has no weight"),
        ({"value": "1.5"}, "value is not a number"),
        ({"value": False}, "value is not a number"),
        ({"value": float("inf")}, "value is not finite"),
        ({"value": 10**400}, "value is out of range"),
    ],
)
def test_a_broken_rule_is_named_in_the_words_of_the_door(changes: dict[str, Any], reason: str) -> None:
    assert parsed(**changes) == Refused(reason)


@pytest.mark.parametrize("payload", [b"", b"\xff\xfe", b"[1, 2]", b'"text"', b"{", b"[" * 100_000, b"9" * 10_000])
def test_what_is_no_json_object_is_refused(payload: bytes) -> None:
    assert parse(payload, RULES, now_us=NOW) == Refused("not a JSON object")
    assert user_of(payload) is None


@pytest.mark.parametrize(
    "timestamp",
    [
        "2026-01-02T00:00:00+00:00",
        "2026-01-02T02:00:00+02:00",
        "2026-01-02T00:00:00",
        at(1),
        at(1) // 1_000,
        at(1) // 1_000_000,
        at(1) / 1_000_000,
    ],
)
def test_a_moment_may_be_text_or_a_number_since_1970(timestamp: str | float) -> None:
    event = parsed(timestamp=timestamp)

    assert isinstance(event, StreamEvent)
    assert event.moment_us == at(1)


def test_a_producer_whose_clock_is_a_little_ahead_is_not_refused() -> None:
    assert isinstance(parsed(timestamp=NOW + AHEAD_US), StreamEvent)


def test_whole_numbers_are_ids_and_an_event_without_an_id_gets_that_of_the_event_log() -> None:
    event = parsed(user_id=17, event_id=None)

    assert isinstance(event, StreamEvent)
    assert event.user_id == "17"
    assert event.event_id == event_id("17", "i1", at(1), "view", 1.5)


def test_values_count_only_where_the_data_set_has_them() -> None:
    rules = Rules(RULES.weights, Cleaning(), valued=False)

    event = parse(json.dumps(GOOD).encode(), rules, now_us=NOW)

    assert isinstance(event, StreamEvent)
    assert event.thousandths == 0


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(changes=st.dictionaries(st.sampled_from(sorted(GOOD)), json_values))
def test_whatever_a_field_holds_there_is_an_answer(changes: dict[str, Any]) -> None:
    found = parsed(**changes)

    assert isinstance(found, StreamEvent | Refused)


@given(payload=st.binary(max_size=200))
def test_whatever_the_bytes_are_there_is_an_answer(payload: bytes) -> None:
    assert isinstance(parse(payload, RULES, now_us=NOW), StreamEvent | Refused)
