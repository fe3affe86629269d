from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_log import at, event_log

from feature_repo.core.errors import DatasetError
from feature_repo.dataset.split import from_microseconds, parse_moment, split_by_time, to_microseconds


def test_the_split_cuts_at_shares_of_the_events_and_never_inside_a_moment() -> None:
    events = event_log([("ann", f"i{n}", at(n // 2)) for n in range(20)])  # two events a day

    split = split_by_time(events)

    assert (split.start, split.champion_end) == (from_microseconds(at(0)), from_microseconds(at(7)))
    assert split.challenger_end == from_microseconds(at(8))
    assert split.test_end == from_microseconds(at(9) + 1)


def test_a_window_without_events_is_refused() -> None:
    with pytest.raises(DatasetError, match="a time split needs events at several moments; got 2 moments"):
        split_by_time(event_log([("ann", "a", at(0)), ("ann", "b", at(1))]))


@given(st.integers(0, at(36_500)))
def test_a_moment_survives_the_way_through_microseconds(moment_us: int) -> None:
    assert to_microseconds(from_microseconds(moment_us)) == moment_us


def test_a_moment_in_another_zone_is_the_same_moment() -> None:
    zone = timezone(timedelta(hours=5, minutes=30))

    assert to_microseconds(datetime(2026, 1, 1, 5, 30, tzinfo=zone)) == at(0)
    assert parse_moment("2026-01-01T05:30:00+05:30", option="UNTIL", words="now") == from_microseconds(at(0))


@pytest.mark.parametrize(("text", "rule"), [("soon", "UNTIL is now or ISO 8601"), ("2026-01-01", "needs a time zone")])
def test_a_moment_that_cannot_be_read_is_quoted(text: str, rule: str) -> None:
    with pytest.raises(DatasetError, match=rule) as caught:
        parse_moment(text, option="UNTIL", words="now")

    assert repr(text) in str(caught.value)
