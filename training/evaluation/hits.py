"""Which places of a slate hold what is relevant.

A slate is a row of `slates` [requests, k]: distinct rows of the catalogue, best first, -1 where it is shorter than k.
`relevant` [requests, m] is sparse, above 0 where an item of the catalogue is relevant; its values are the gains of
graded relevance.
"""

from typing import Any

import numpy as np
from scipy import sparse

from feature_repo.core.errors import NotMeasurable

Array = np.ndarray[Any, Any]


def hits_of(slates: Array, relevant: sparse.csr_array) -> Array:
    """1.0 where the item at that place is relevant: float64 [requests, k]."""
    return (gains_of(slates, relevant) > 0).astype(np.float64)


def gains_of(slates: Array, relevant: sparse.csr_array) -> Array:
    """The gain of the item at each place, 0 where it is not relevant: float64 [requests, k]."""
    _check(slates, relevant)
    gains = np.zeros(slates.shape)
    if not relevant.nnz:
        return gains
    listed = relevant.tocsr(copy=True)
    listed.sum_duplicates()
    requests, items = listed.shape
    rows = np.repeat(np.arange(requests, dtype=np.int64), np.diff(listed.indptr))
    keys = rows * items + listed.indices
    wanted = np.arange(requests, dtype=np.int64)[:, None] * items + slates
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    found = (keys[place] == wanted) & (slates >= 0)
    gains[found] = listed.data[place[found]]
    return gains


def counts_of(relevant: sparse.csr_array) -> Array:
    """Relevant items of each request, int64 [requests]."""
    return np.asarray((relevant > 0).sum(axis=1), np.int64)


def ideal_gains(relevant: sparse.csr_array, k: int) -> Array:
    """The k largest gains of each request, largest first, 0 after the last: float64 [requests, k]."""
    rows = np.repeat(np.arange(relevant.shape[0]), np.diff(relevant.indptr))
    order = np.lexsort((-relevant.data, rows))
    place = np.arange(len(rows)) - relevant.indptr[rows]
    ideal = np.zeros((relevant.shape[0], k))
    kept = place < k
    ideal[rows[kept], place[kept]] = relevant.data[order][kept]
    return ideal


def within(slates: Array, relevant: sparse.csr_array, items: Array) -> tuple[Array, Array, Array]:
    """Hits and counts where only `items` [m] (true or false) may be relevant, for new and old items apart.

    Ranks stay those of the whole slate. Returns the requests that have such an item [n], their hits [n, k] and
    counts [n].
    """
    limited = sparse.csr_array(relevant @ sparse.diags_array(items.astype(np.float64)))
    limited.eliminate_zeros()
    counts = counts_of(limited)
    asked = np.flatnonzero(counts)
    return asked, hits_of(slates[asked], limited[asked]), counts[asked]


def _check(slates: Array, relevant: sparse.csr_array) -> None:
    requests, items = relevant.shape
    if slates.ndim != 2 or len(slates) != requests:
        raise NotMeasurable(f"expected slates [{requests}, k], one per row of what is relevant; got {slates.shape}")
    if slates.size and not (slates.min() >= -1 and slates.max() < items):
        raise NotMeasurable(
            f"expected rows of a catalogue of {items} items, or -1; got {slates.min()} to {slates.max()}"
        )
    ordered = np.sort(slates, axis=1)
    twice = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)
    if twice.any():
        row, place = np.argwhere(twice)[0]
        raise NotMeasurable(f"expected distinct items in a slate; request {row} lists item {ordered[row, place]} twice")
