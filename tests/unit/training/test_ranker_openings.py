import numpy as np

from training.ranking.candidates import RankerRows
from training.ranking.openings import openings, repeated, with_later
from training.replay import Moment
from training.settings import RankerSettings

HOUR = 3_600_000_000
NAMES = ("user_recency_days",)
ASKED = [
    Moment("ann", 0, ("a",), {}, ("view",)),
    Moment("ann", HOUR // 60, ("b",), {}, ("view",)),
    Moment("bob", HOUR, ("a",), {}, ("view",)),
]
AFTER = [*ASKED, Moment("ann", 2 * HOUR, ("c",), {}, ("buy",))]


def rows() -> RankerRows:
    """Three requests over the same candidates a, b, c: the first by somebody new, the second a minute later."""
    request = np.repeat([0, 1, 2], 3)
    recency = np.array([np.nan, 1 / 1440, 3.0])
    answered = np.zeros((9, 2), bool)
    answered[[0, 4, 6], 0] = True
    ids = np.array(["a", "b", "c"] * 3, object)
    return RankerRows(recency[request][:, None].astype(np.float32), answered, ("view", "buy"), request, ids, ASKED)


def test_a_request_opens_a_visit_when_its_user_is_new_or_was_away() -> None:
    found = openings(rows(), NAMES, RankerSettings(pause_hours=1.0))

    assert found.tolist() == [True] * 3 + [False] * 3 + [True] * 3


def test_at_an_opening_what_is_met_later_counts_with_the_type_of_its_event() -> None:
    found = with_later(rows(), openings(rows(), NAMES, RankerSettings()), AFTER, 3 * HOUR)

    assert found.answered[:3].tolist() == [[True, False], [True, False], [False, True]]


def test_what_is_met_after_the_requests_to_learn_from_is_no_label() -> None:
    found = with_later(rows(), openings(rows(), NAMES, RankerSettings()), AFTER, 2 * HOUR)

    assert found.answered[:3].tolist() == [[True, False], [True, False], [False, False]]


def test_within_a_visit_and_after_the_last_event_nothing_is_added() -> None:
    found = with_later(rows(), openings(rows(), NAMES, RankerSettings()), AFTER, 3 * HOUR)

    np.testing.assert_array_equal(found.answered[3:], rows().answered[3:])


def test_openings_are_repeated_as_requests_of_their_own() -> None:
    taken, numbers = repeated(np.array([0, 0, 1, 1]), np.array([True, True, False, False]), 3)

    assert taken.tolist() == [0, 1, 2, 3, 0, 1, 0, 1]
    assert numbers.tolist() == [0, 0, 1, 1, 2, 2, 4, 4]
    assert (np.diff(numbers) >= 0).all()
