import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from feature_repo.core.errors import NotMeasurable
from training.evaluation.beyond_accuracy import (
    coverage,
    exposure,
    gini,
    intra_list_diversity,
    mean_over_items,
    popularity_lift,
    popularity_percentiles,
    self_information,
    serendipity,
)


def test_coverage_is_the_share_of_items_that_anybody_sees() -> None:
    slates = np.array([[0, 1], [1, -1]])

    assert exposure(slates, 5).tolist() == [1, 2, 0, 0, 0]
    assert coverage(slates, 5) == 0.4


def test_gini_is_zero_for_equal_exposure_and_one_where_one_item_takes_all() -> None:
    assert gini(np.array([[0, 1], [2, 3]]), 4) == 0.0
    assert gini(np.array([[2], [2], [2]]), 4) == 1.0


def test_gini_of_one_two_three_is_a_third() -> None:
    slates = np.array([[0, 1, 2], [1, 2, -1], [2, -1, -1]])

    assert gini(slates, 3) == pytest.approx((-2 * 1 + 0 * 2 + 2 * 3) / (2 * 6))


def test_nothing_shown_and_a_catalogue_of_one_have_no_inequality() -> None:
    assert gini(np.full((2, 3), -1), 4) == 0.0
    assert gini(np.array([[0]]), 1) == 0.0
    with pytest.raises(NotMeasurable, match="a catalogue of at least one item; got 0"):
        coverage(np.full((2, 3), -1), 0)


def test_percentiles_count_ties_half() -> None:
    assert popularity_percentiles(np.array([5, 0, 5, 9])).tolist() == [0.5, 0.125, 0.5, 0.875]


def test_the_lift_is_zero_where_slates_are_as_popular_as_what_users_choose() -> None:
    percentiles = popularity_percentiles(np.array([1, 2, 3, 4]))
    recommended = mean_over_items(np.array([[3, 2], [3, -1]]), percentiles)
    consumed = mean_over_items(np.array([[0, 1], [1, 2]]), percentiles)

    assert recommended.tolist() == [0.75, 0.875]
    assert popularity_lift(recommended, recommended) == 0.0
    assert popularity_lift(recommended, consumed) == pytest.approx(0.8125 / 0.375 - 1)
    with pytest.raises(NotMeasurable, match="needs requests with items shown and items consumed"):
        popularity_lift(recommended, np.zeros(0))


def test_novelty_is_the_information_in_bits_and_an_item_without_events_has_the_most() -> None:
    information = self_information(np.array([3.0, 1.0, 0.0]))

    assert information == pytest.approx(-np.log2(np.array([4, 2, 1]) / 7))
    assert mean_over_items(np.array([[0, 2], [-1, -1]]), information) == pytest.approx(
        [(np.log2(7 / 4) + np.log2(7)) / 2, 0.0]
    )


def test_a_slate_of_one_category_has_no_diversity_and_one_of_strangers_has_one() -> None:
    vectors = np.array([[1.0, 0.0], [5.0, 0.0], [0.0, 2.0], [0.0, 0.0]])
    slates = np.array([[0, 1, -1], [0, 2, -1], [0, 1, 2], [0, 3, -1], [0, -1, -1], [-1, -1, -1]])

    found = intra_list_diversity(slates, vectors)

    assert found == pytest.approx([0.0, 1.0, 2 / 3, 1.0, 0.0, 0.0])


@given(st.integers(0, 10_000))
def test_diversity_is_that_of_a_loop_over_pairs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    vectors = rng.integers(0, 2, (8, 5)).astype(float)
    slate = rng.permutation(8)[:4]
    norms = np.linalg.norm(vectors, axis=1)

    found = intra_list_diversity(slate[None], sparse.csr_array(vectors))

    cosines = [
        vectors[a] @ vectors[b] / (norms[a] * norms[b]) if norms[a] * norms[b] else 0.0
        for n, a in enumerate(slate)
        for b in slate[n + 1 :]
    ]
    assert found[0] == pytest.approx(1 - np.mean(cosines))


def test_serendipity_counts_hits_that_the_popular_slate_does_not_have() -> None:
    slates = np.array([[0, 1, 2, 3], [4, 5, -1, -1]])
    hits = np.array([[1, 1, 0, 1], [0, 1, 0, 0]])

    shared = serendipity(slates, hits, np.array([0, 1, 2, 9]))
    own = serendipity(slates, hits, np.array([[9, 8, 7, 6], [5, 0, 1, 2]]))

    assert shared.tolist() == [0.25, 0.25]
    assert own.tolist() == [0.75, 0.0]
    with pytest.raises(NotMeasurable, match="primitive slates of 4 places; got 2"):
        serendipity(slates, hits, np.array([0, 1]))
