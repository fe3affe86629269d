import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from feature_repo.core.errors import NotMeasurable
from training.evaluation.hits import counts_of, gains_of, hits_of, ideal_gains, within

RELEVANT = sparse.csr_array(np.array([[0.0, 2.0, 0.0, 1.0], [0.0, 0.0, 0.0, 0.0], [3.0, 0.0, 0.0, 0.0]]))


def test_hits_are_the_places_of_relevant_items_and_padding_is_none() -> None:
    slates = np.array([[1, 0, 3], [3, 1, 0], [2, 0, -1]])

    assert hits_of(slates, RELEVANT).tolist() == [[1, 0, 1], [0, 0, 0], [0, 1, 0]]
    assert gains_of(slates, RELEVANT).tolist() == [[2, 0, 1], [0, 0, 0], [0, 3, 0]]
    assert counts_of(RELEVANT).tolist() == [2, 0, 1]
    assert ideal_gains(RELEVANT, 2).tolist() == [[2, 1], [0, 0], [3, 0]]


def test_where_nothing_at_all_is_relevant_there_is_no_hit() -> None:
    nothing = sparse.csr_array((1, 4))

    assert hits_of(np.array([[3, 0]]), nothing).tolist() == [[0, 0]]
    assert ideal_gains(nothing, 3).tolist() == [[0, 0, 0]]


def test_an_explicit_zero_is_not_relevant() -> None:
    stored = sparse.csr_array((np.array([0.0, 1.0]), np.array([0, 1]), np.array([0, 2])), shape=(1, 2))

    assert hits_of(np.array([[0, 1]]), stored).tolist() == [[0, 1]]
    assert counts_of(stored).tolist() == [1]


@given(st.integers(0, 10_000))
def test_hits_are_those_of_a_loop(seed: int) -> None:
    rng = np.random.default_rng(seed)
    dense = rng.integers(0, 3, (4, 6)) * (rng.random((4, 6)) < 0.4)
    slates = np.argsort(rng.random((4, 6)), axis=1)[:, :4]
    slates[rng.random(slates.shape) < 0.2] = -1

    found = gains_of(slates, sparse.csr_array(dense.astype(float)))

    expected = [[dense[q, i] if i >= 0 else 0 for i in row] for q, row in enumerate(slates)]
    assert found.tolist() == expected


def test_only_some_items_may_count_and_requests_without_any_of_them_are_left_out() -> None:
    slates = np.array([[1, 3, 0], [0, 1, 2], [1, 2, 3]])

    asked, hits, counts = within(slates, RELEVANT, np.array([True, False, False, True]))

    assert asked.tolist() == [0, 2]
    assert hits.tolist() == [[0, 1, 0], [0, 0, 0]]
    assert counts.tolist() == [1, 1]


@pytest.mark.parametrize(
    ("slates", "sentence"),
    [
        ([[1, 2], [0, 1]], r"expected slates \[3, k\], one per row of what is relevant; got \(2, 2\)"),
        ([[1, 2], [0, 4], [1, 0]], "rows of a catalogue of 4 items, or -1; got 0 to 4"),
        ([[1, 2], [0, -2], [1, 0]], "rows of a catalogue of 4 items, or -1; got -2 to 2"),
        ([[1, 2], [3, 3], [1, 0]], "distinct items in a slate; request 1 lists item 3 twice"),
    ],
)
def test_slates_that_break_a_rule_are_refused(slates: list[list[int]], sentence: str) -> None:
    with pytest.raises(NotMeasurable, match=sentence):
        hits_of(np.array(slates), RELEVANT)
