"""Parts of everybody's items held out at random: one part for a test, or folds that together are everything."""

from typing import Any

import numpy as np
from scipy import sparse

from feature_repo.core.errors import DatasetError

Array = np.ndarray[Any, Any]


def hold_out(
    met: sparse.csr_array, share: float, rng: np.random.Generator
) -> tuple[sparse.csr_array, sparse.csr_array]:
    """`met` [u, i] less a `share` of each user's items, and that share.

    What a share leaves of a whole item is drawn, so that the mean over users is the share. Everybody keeps an item.

    Raises:
        DatasetError: the share is not between 0 and 1.
    """
    if not 0 < share < 1:
        raise DatasetError(f"the share that is held out lies between 0 and 1; got {share}")
    counts = np.diff(met.indptr)
    taken = np.minimum(np.floor(counts * share + rng.random(len(counts))), np.maximum(counts - 1, 0))
    held = places(met, rng) < np.repeat(taken, counts)
    return _where(met, ~held), _where(met, held)


def folds(
    met: sparse.csr_array, count: int, rng: np.random.Generator
) -> list[tuple[sparse.csr_array, sparse.csr_array]]:
    """For each of `count` folds, `met` [u, i] less one part of each user's items, and that part.

    The parts of a user differ by one item at most, and all parts together are `met`.

    Raises:
        DatasetError: there are fewer than two folds.
    """
    if count < 2:
        raise DatasetError(f"what is fitted across folds needs at least 2; got {count}")
    counts = np.diff(met.indptr)
    first = np.repeat(rng.integers(0, count, len(counts)), counts)
    fold = (places(met, rng) + first) % count
    return [(_where(met, fold != number), _where(met, fold == number)) for number in range(count)]


def places(met: sparse.csr_array, rng: np.random.Generator) -> Array:
    """For each pair [n] its place among its user's pairs, from 0, in an order that is drawn."""
    counts = np.diff(met.indptr)
    users = np.repeat(np.arange(len(counts)), counts)
    order = np.lexsort((rng.random(len(users)), users))
    found = np.empty(len(users), np.int64)
    found[order] = np.arange(len(users)) - np.repeat(met.indptr[:-1], counts)
    return found


def _where(met: sparse.csr_array, kept: Array) -> sparse.csr_array:
    users = np.repeat(np.arange(met.shape[0]), np.diff(met.indptr))[kept]
    return sparse.csr_array((met.data[kept], (users, met.indices[kept])), shape=met.shape)
