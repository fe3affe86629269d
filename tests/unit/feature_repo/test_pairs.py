import numpy as np
import pytest
from tiny_log import at

from feature_repo.features.pairs import affinities, labels_of, pairs_at
from feature_repo.features.worth import conversion_of, value_of

USERS = {
    "history_items": np.array([["a", "b", "a", "a"], [None] * 4], object),
    "history_times": np.array([[at(0), at(1), at(2), at(6)], [0] * 4]),
    "taste_brand": np.array([["x", "y", "x", "x"], [None] * 4], object),
    "taste_tags": np.array([["red", "blue", None, None], [None] * 4], object),
}
NOW = np.array([at(9), at(9)])


def test_a_pair_knows_how_often_how_lately_and_how_regularly_it_met() -> None:
    found = pairs_at(USERS, np.array(["a", "b", "c"], object), np.zeros(3, int), NOW)

    assert found["pair_events"].tolist() == [3, 1, 0]
    assert found["pair_recency_days"][:2].tolist() == [3, 8]
    assert found["pair_interval_days"][0] == 3
    assert found["pair_due"][0] == 1
    assert np.isnan(found["pair_interval_days"][1:]).all()
    assert np.isnan(found["pair_recency_days"][2])


def test_two_meetings_at_one_moment_have_no_interval_to_be_due_after() -> None:
    users = {"history_items": np.array([["a", "a"]], object), "history_times": np.array([[at(0), at(0)]])}

    found = pairs_at(users, np.array(["a"], object), np.zeros(1, int), np.array([at(1)]))

    assert found["pair_interval_days"].tolist() == [0]
    assert np.isnan(found["pair_due"]).all()


def test_one_request_meets_what_it_meets_among_others() -> None:
    alone = {name: values[:1] for name, values in USERS.items()}

    found = pairs_at(alone, np.array(["c", "a"], object), np.zeros(2, int), NOW[:1])

    assert found["pair_events"].tolist() == [0, 3]


def test_candidates_of_several_requests_meet_their_own_users() -> None:
    found = pairs_at(USERS, np.array(["a", "a", "b"], object), np.array([1, 0, 0]), NOW)

    assert found["pair_events"].tolist() == [0, 3, 1]


def test_affinity_is_the_share_of_what_was_liked_last() -> None:
    items = {
        "brand": labels_of(np.array(["x", "y", "z", None], object)),
        "tags": labels_of(np.array([["red", "green"], ["red", "blue"], [None, None], ["red", None]], object)),
    }

    found = affinities(("brand", "tags"), USERS, items, np.zeros(4, int))

    assert found["affinity_brand"].tolist() == [0.75, 0.25, 0, 0]
    assert found["affinity_tags"].tolist() == [0.25, 0.5, 0, 0.5]


def test_a_like_that_no_item_has_is_one_of_the_likes_all_the_same() -> None:
    found = affinities(("brand",), USERS, {"brand": labels_of(np.array(["y", None], object))}, np.zeros(2, int))

    assert found["affinity_brand"].tolist() == [0.25, 0]


def test_one_request_has_the_affinities_that_it_has_among_others() -> None:
    alone = {name: values[:1] for name, values in USERS.items()}
    items = {"tags": labels_of(np.array([["red", "green"], ["blue", None], [None, None]], object))}

    one = affinities(("tags",), alone, items, np.zeros(3, int))
    among = affinities(("tags",), USERS, items, np.zeros(3, int))

    assert one["affinity_tags"].tolist() == among["affinity_tags"].tolist() == [0.25, 0.5, 0]


def test_a_user_without_likes_has_an_unknown_affinity() -> None:
    found = affinities(("brand",), USERS, {"brand": labels_of(np.array(["x"], object))}, np.array([1]))

    assert np.isnan(found["affinity_brand"]).all()


def test_an_item_is_worth_the_mean_and_the_last_of_its_values() -> None:
    state = {
        "item_amount": np.array([9000.0, np.nan]),
        "item_valued": np.array([3.0, np.nan]),
        "item_last_amount": np.array([6000.0, np.nan]),
    }

    found = value_of(state)

    assert {name: values[0] for name, values in found.items()} == {
        "item_value_mean": 3,
        "item_value_last": 6,
        "item_value_change": 2,
    }
    assert all(np.isnan(values[1]) for values in found.values())


def test_conversion_is_the_ratio_to_the_step_before() -> None:
    state = {
        "item_step_1": np.array([10.0, 0.0, np.nan]),
        "item_step_2": np.array([5.0, 2.0, np.nan]),
        "item_step_3": np.array([1.0, 0.0, np.nan]),
    }

    found = conversion_of(state, 3)

    assert found["item_conversion_1"][0] == 0.5
    assert found["item_conversion_2"][:2].tolist() == [pytest.approx(0.2), 0]
    assert np.isnan(found["item_conversion_1"][1:]).all()
