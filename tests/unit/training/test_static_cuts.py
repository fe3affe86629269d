"""Parts held out at random: exact shares, nothing lost, nothing twice."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from feature_repo.core.errors import DatasetError
from training.static.cuts import folds, hold_out

Array = np.ndarray[Any, Any]

BAGS = st.lists(st.sets(st.integers(0, 29), max_size=30), min_size=1, max_size=6)


def met_of(bags: list[set[int]]) -> sparse.csr_array:
    table = np.zeros((len(bags), 30), np.float32)
    for user, bag in enumerate(bags):
        table[user, sorted(bag)] = 1.0
    return sparse.csr_array(table)


@given(bags=BAGS, share=st.floats(0.05, 0.95), seed=st.integers(0, 9))
def test_a_share_of_each_users_items_is_held_out_and_everybody_keeps_one(
    bags: list[set[int]], share: float, seed: int
) -> None:
    met = met_of(bags)

    kept, held = hold_out(met, share, np.random.default_rng(seed))

    np.testing.assert_array_equal((kept + held).toarray(), met.toarray())
    counts, taken = np.diff(met.indptr), np.diff(held.indptr)
    assert (np.diff(kept.indptr) >= np.minimum(counts, 1)).all()
    assert (np.abs(taken - counts * share) <= 1).all()


@given(bags=BAGS, count=st.integers(2, 5), seed=st.integers(0, 9))
def test_folds_are_everything_together_and_even_for_each_user(bags: list[set[int]], count: int, seed: int) -> None:
    met = met_of(bags)

    cut = folds(met, count, np.random.default_rng(seed))

    np.testing.assert_array_equal(sum(held.toarray() for _, held in cut), met.toarray())
    assert all(((kept + held).toarray() == met.toarray()).all() for kept, held in cut)
    sizes = np.stack([np.diff(held.indptr) for _, held in cut])
    assert (sizes.max(axis=0) - sizes.min(axis=0) <= 1).all()


def test_the_same_seed_cuts_alike_and_another_does_not() -> None:
    met = met_of([set(range(30))])

    one, again, other = (hold_out(met, 0.5, np.random.default_rng(seed))[1].toarray() for seed in (1, 1, 2))

    np.testing.assert_array_equal(one, again)
    assert (one != other).any()


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(DatasetError, match=r"lies between 0 and 1; got"):
        hold_out(met_of([{1}]), share, np.random.default_rng(0))


def test_a_single_fold_is_refused() -> None:
    with pytest.raises(DatasetError, match="needs at least 2; got 1"):
        folds(met_of([{1}]), 1, np.random.default_rng(0))
