import numpy as np

from training.newcomers import with_prior

NAMES = ("user_recency_days", "two_tower_rank", "ease_rank", "popular_30d_rank")
BOTH = {"two-tower": 1.0, "popular-30d": 2.0}
SCORES = np.array([0.5, 0.25, 0.0], np.float32)


def matrix(recency: float) -> "np.ndarray[tuple[int, int], np.dtype[np.float32]]":
    """Three candidates: first of both retrievers, first of one and beyond the depth of the other, beyond both."""
    return np.array([[recency, 1, 101, 1], [recency, 101, 1, 1], [recency, 101, 101, 101]], np.float32)


def test_candidates_of_a_newcomer_are_raised_as_far_as_the_retrievers_agree_on_them() -> None:
    found = with_prior(SCORES, matrix(np.nan), NAMES, BOTH, depth=100)

    np.testing.assert_allclose(found, SCORES + np.array([3.0, 2.0, 0.0]))
    np.testing.assert_array_equal(SCORES, np.array([0.5, 0.25, 0.0], np.float32))


def test_whoever_has_a_single_event_keeps_the_rankers_scores() -> None:
    found = with_prior(SCORES, matrix(0.0), NAMES, BOTH, depth=100)

    np.testing.assert_array_equal(found, SCORES)


def test_a_retriever_that_the_bundle_lacks_is_passed_over() -> None:
    found = with_prior(SCORES, matrix(np.nan), NAMES, {"trending": 5.0, "popular-30d": 1.0}, depth=100)

    np.testing.assert_allclose(found, SCORES + np.array([1.0, 1.0, 0.0]))


def test_without_weights_nothing_changes() -> None:
    assert with_prior(SCORES, matrix(np.nan), NAMES, {}, depth=100) is SCORES
