import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.stats import wasserstein_distance

from monitoring.drift.distance import Sorted, jensen_shannon, wasserstein

values = st.lists(st.integers(-50, 50).map(float), min_size=1, max_size=40).map(np.array)


@given(reference=values, current=values)
def test_the_distance_of_two_samples_is_the_one_that_evidently_calls(
    reference: "np.ndarray[int, np.dtype[np.float64]]", current: "np.ndarray[int, np.dtype[np.float64]]"
) -> None:
    ours = wasserstein(Sorted.of(reference), current)

    assert ours == pytest.approx(wasserstein_distance(reference, current), abs=1e-9)


def test_a_sample_moved_by_two_lies_two_away() -> None:
    reference = np.array([1.0, 4.0, 9.0])

    assert wasserstein(Sorted.of(reference), reference + 2.0) == pytest.approx(2.0)


@given(pair=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=2, max_size=6))
def test_the_distance_of_two_sets_of_shares_is_the_one_that_evidently_calls(pair: list[tuple[int, int]]) -> None:
    left, right = (np.array(side, float) + (1.0 if not sum(side) else 0.0) for side in zip(*pair, strict=True))
    left, right = left / left.sum(), right / right.sum()

    assert float(jensen_shannon(left, right)) == pytest.approx(float(jensenshannon(left, right)), abs=1e-7)
