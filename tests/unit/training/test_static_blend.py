"""The linear blend that is learnt listwise, and standard scores."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from training.static.blend import blend_weights, blended, standard_within
from training.static.candidates import standard_scores

GROUPS = np.repeat(np.arange(200), 10)


def test_the_column_that_orders_gets_the_weight_and_one_that_misleads_gets_none() -> None:
    rng = np.random.default_rng(0)
    good = rng.normal(size=2000)
    gains = (good > 1.2).astype(np.float32)

    weights = blend_weights(np.stack([good, -good, rng.normal(size=2000)], axis=1), gains, GROUPS, ridge=1e-3)

    assert weights[0] > 0.9
    assert weights[1] == 0
    np.testing.assert_allclose(weights.sum(), 1)


def test_a_users_own_level_does_not_count() -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(2000, 2))
    gains = (scores[:, 0] > 1.2).astype(np.float32)
    level = rng.normal(scale=50, size=200)[GROUPS][:, None]

    weights = blend_weights(scores, gains, GROUPS, ridge=1e-3)

    np.testing.assert_allclose(blend_weights(scores + level, gains, GROUPS, ridge=1e-3), weights, atol=0.02)


def test_a_large_ridge_makes_the_weights_of_good_columns_alike() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=2000)
    scores = np.stack([truth + 0.1 * rng.normal(size=2000), truth + 0.5 * rng.normal(size=2000)], axis=1)
    gains = (truth > 1.2).astype(np.float32)

    apart, alike = (blend_weights(scores, gains, GROUPS, ridge=ridge) for ridge in (1e-3, 10.0))

    assert apart[0] > 0.8
    assert 0.5 < alike[0] < 0.6


def test_without_a_single_gain_all_columns_count_the_same() -> None:
    weights = blend_weights(np.ones((10, 4)), np.zeros(10), np.zeros(10, int), ridge=1e-3)

    np.testing.assert_array_equal(weights, np.full(4, 0.25))


def test_a_missing_score_counts_as_the_mean() -> None:
    found = blended(np.array([[1.0, np.nan], [np.nan, np.nan]]), np.array([0.5, 0.5]))

    np.testing.assert_array_equal(found, [0.5, 0.0])


def test_standard_scores_leave_out_what_may_not_be_recommended() -> None:
    found = standard_scores(np.array([[1.0, 3.0, -np.inf], [5.0, 5.0, 5.0]], np.float32))

    np.testing.assert_allclose(found, [[-1, 1, np.nan], [0, 0, 0]])


def test_equal_scores_are_all_the_mean_whatever_their_last_digit() -> None:
    many = np.full((1, 3), 0.97)

    np.testing.assert_array_equal(standard_within(many[0], np.zeros(3, int)), np.zeros(3))
    np.testing.assert_array_equal(standard_scores(many), np.zeros((1, 3)))


@given(values=st.lists(st.floats(-100, 100), min_size=2, max_size=40), cut=st.integers(1, 39))
def test_within_a_request_the_order_stays_and_the_mean_is_0(values: list[float], cut: int) -> None:
    scores = np.array(values)
    groups = (np.arange(len(scores)) >= cut).astype(int)

    found = standard_within(scores, groups)

    for group in np.unique(groups):
        own = groups == group
        assert abs(found[own].mean()) < 1e-6
        assert (np.diff(found[own][np.argsort(scores[own], kind="stable")]) >= -1e-9).all()
