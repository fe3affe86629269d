import numpy as np
import pytest

from feature_repo.core.errors import NotMeasurable
from training.evaluation.segments import DAY_US, by_segment, heavy_cut, new_items, user_segments


def test_users_are_new_light_or_heavy_by_their_events_so_far() -> None:
    cut = heavy_cut(np.array([0, 0, 1, 2, 3, 4, 5]), 0.75)

    assert cut == 4.0
    assert user_segments(np.array([0, 1, 4, 5]), cut).tolist() == ["new", "light", "light", "heavy"]


def test_a_cut_over_no_events_is_refused() -> None:
    with pytest.raises(NotMeasurable, match="needs a user with a training event; got none"):
        heavy_cut(np.zeros(3, int))


def test_an_item_is_new_without_an_event_or_with_a_recent_first_one() -> None:
    end = 100 * DAY_US

    found = new_items(np.array([-1, 10 * DAY_US, 70 * DAY_US, 71 * DAY_US]), end_us=end, days=30)

    assert found.tolist() == [True, False, False, True]


def test_each_segment_has_its_count_value_and_interval() -> None:
    labels = np.array(["new", "light", "new", "light", "light"])
    user = np.array([7, 8, 9, 8, 10])
    values = np.array([1.0, 0.0, 0.0, 0.5, 1.0])

    new, light = by_segment({"ndcg@10": values}, labels, user, np.random.default_rng(0))

    assert (light.segment, light.metric, light.requests, light.users, light.value) == ("light", "ndcg@10", 3, 2, 0.5)
    assert (new.segment, new.requests, new.users, new.value) == ("new", 2, 2, 0.5)
    assert new.interval is not None
    assert (new.interval.low, new.interval.high) == (0.0, 1.0)


def test_a_segment_of_one_user_has_a_value_and_no_interval() -> None:
    (found,) = by_segment(
        {"recall@10": np.array([1.0, 0.0])}, np.full(2, "new"), np.array([3, 3]), np.random.default_rng(0)
    )

    assert (found.users, found.value, found.interval) == (1, 0.5, None)


def test_a_split_of_no_request_is_refused() -> None:
    with pytest.raises(NotMeasurable, match="at least one request; got none"):
        by_segment({}, np.zeros(0, str), np.zeros(0, int), np.random.default_rng(0))
