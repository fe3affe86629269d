import numpy as np

from training.prior import with_prior
from training.settings import PriorSettings

NAMES = ("user_recency_days", "two_tower_rank", "ease_rank", "popular_30d_rank")
PRIOR = PriorSettings(newcomers={"two-tower": 1.0}, openings={"popular-30d": 2.0})
SCORES = np.array([0.5, 0.25, 0.0], np.float32)
HOUR = 1 / 24


def matrix(recency: float) -> "np.ndarray[tuple[int, int], np.dtype[np.float32]]":
    """Three candidates: first of both retrievers, first of one and beyond the depth of the other, beyond both."""
    return np.array([[recency, 1, 101, 1], [recency, 101, 1, 1], [recency, 101, 101, 101]], np.float32)


def test_candidates_of_a_newcomer_are_raised_as_far_as_the_retrievers_agree_on_them() -> None:
    found = with_prior(SCORES, matrix(np.nan), NAMES, PRIOR, pause_hours=1.0, depth=100)

    np.testing.assert_allclose(found, SCORES + np.array([3.0, 2.0, 0.0]))
    np.testing.assert_array_equal(SCORES, np.array([0.5, 0.25, 0.0], np.float32))


def test_whoever_comes_back_after_a_pause_is_told_apart_from_newcomers() -> None:
    found = with_prior(SCORES, matrix(1.5 * HOUR), NAMES, PRIOR, pause_hours=1.0, depth=100)

    np.testing.assert_allclose(found, SCORES + np.array([2.0, 2.0, 0.0]))


def test_within_a_visit_the_rankers_scores_stay() -> None:
    found = with_prior(SCORES, matrix(0.5 * HOUR), NAMES, PRIOR, pause_hours=1.0, depth=100)

    assert found is SCORES


def test_a_lower_place_counts_less() -> None:
    second = matrix(np.nan)
    second[0, NAMES.index("popular_30d_rank")] = 2

    found = with_prior(SCORES, second, NAMES, PRIOR, pause_hours=1.0, depth=100)

    np.testing.assert_allclose(found[0], 0.5 + 1.0 + 2.0 * 61 / 62, rtol=1e-6)


def test_a_retriever_that_the_bundle_lacks_is_passed_over() -> None:
    prior = PriorSettings(newcomers={"trending": 5.0}, openings={"popular-30d": 1.0})

    found = with_prior(SCORES, matrix(np.nan), NAMES, prior, pause_hours=1.0, depth=100)

    np.testing.assert_allclose(found, SCORES + np.array([1.0, 1.0, 0.0]))


def test_without_weights_nothing_changes() -> None:
    assert (
        with_prior(SCORES, matrix(np.nan), NAMES, PriorSettings(newcomers={}, openings={}), pause_hours=1.0, depth=100)
        is SCORES
    )
