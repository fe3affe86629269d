"""Weights from met items to items: whole where the vocabulary is small, the largest of each row beyond that.

Every sum over a bag of met items that is exactly 0 has no summand: nothing that was met says anything of the item.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from scipy import sparse
from scipy.sparse import _sparsetools

from training.retrieval.port import NOTHING
from training.settings import SparseTopSettings

Array = np.ndarray[Any, Any]

WHOLE_ITEMS = 2_048  # 16 MiB
FEW = 0.5  # of the vocabulary: with weights between no more than these, sums are of these alone
BLOCK_ROWS = 2_048  # rows of an item-item product that are in memory at once


@dataclass(frozen=True)
class Reach:
    """A few of the vocabulary's i items: `items` [n], ascending, and `places` [i + 1] of all of it among them.

    The place of any other item is n, that of the last, which stands for items that came later, too.
    """

    items: Array
    places: Array


@dataclass(frozen=True)
class ItemWeights:
    """`matrix` [i, i], float32: row j holds what item j, once met, says of the others."""

    matrix: Array | sparse.csr_array

    def scores(self, bags: sparse.csr_array) -> Array:
        """Weighted sums over `bags` [q, i], float32 [q, i]; NOTHING where there is no summand."""
        if isinstance(self.matrix, np.ndarray):
            return nothing_at_zero(bags @ self.matrix)
        return nothing_at_zero((narrow(bags) @ self.matrix).toarray())

    def sums(self, items: Array, weights: Array) -> Array:
        """Weighted sums over one bag, distinct `items` with `weights` [b]; 0 where there is no summand.

        Only the rows of the bag are read. The sums are float32 [i + 1], or [n + 1] of the items of `reach` where there
        is one, the last of no item and 0.
        """
        if self._small is not None:
            return np.append(np.asarray(weights @ self._small[items], np.float32), np.float32(0))
        return _sums_of_rows(self._reaching, self._borders, items, weights)

    @cached_property
    def reach(self) -> Reach | None:
        """What weights say something of, where they are between few items: then nothing else is looked at."""
        if self._small is not None or isinstance(self.matrix, np.ndarray):
            return None
        if np.count_nonzero(np.diff(self.matrix.indptr)) > FEW * self.matrix.shape[0]:
            return None
        said = np.zeros(self.matrix.shape[1], bool)
        said[self.matrix.indices] = True
        items = np.flatnonzero(said)
        places = np.full(self.matrix.shape[1] + 1, len(items), np.int32)
        places[items] = np.arange(len(items))
        return Reach(items, places)

    @cached_property
    def _reaching(self) -> sparse.csr_array:
        """The matrix, its columns those of `reach`."""
        if self.reach is None or isinstance(self.matrix, np.ndarray):
            return self.matrix
        parts = (self.matrix.data, self.reach.places.take(self.matrix.indices), self.matrix.indptr)
        return sparse.csr_array(parts, shape=(self.matrix.shape[0], len(self.reach.items)))

    @cached_property
    def _borders(self) -> Array:
        """Where each row begins and ends, int32 [i, 2]."""
        starts = self._reaching.indptr
        return np.stack([starts[:-1], starts[1:]], axis=1)

    @cached_property
    def _small(self) -> Array | None:
        """The whole matrix where it is small: one product with it is faster than choosing its rows."""
        if isinstance(self.matrix, np.ndarray):
            return self.matrix
        whole: Array | None = self.matrix.toarray() if self.matrix.shape[0] <= WHOLE_ITEMS else None
        return whole

    def arrays(self) -> dict[str, Array]:
        if isinstance(self.matrix, np.ndarray):
            return {"weights": self.matrix}
        return csr_arrays("weights", self.matrix)

    @classmethod
    def restore(cls, arrays: Mapping[str, Array]) -> Self:
        if "weights" in arrays:
            return cls(arrays["weights"])
        items = len(arrays["weights_indptr"]) - 1
        found = cls(csr_restored("weights", arrays, columns=items))
        found.sums(np.zeros(0, np.int32), np.zeros(0, np.float32))  # finds what sums need before the first request
        return found


def _sums_of_rows(matrix: sparse.csr_array, borders: Array, items: Array, weights: Array) -> Array:
    """Weighted sums of the rows `items` [b], ascending, of a narrow matrix, float32 [i + 1], the last 0.

    `borders` [i, 2] says where each row begins and ends.

    This is the loop of scipy's own product with a vector, which goes from each pointer to the next one: here from the
    beginning of a row to its end, and from there, the rows being taken in descending order, backwards: over nothing.
    So what is chosen is not copied first, which took as long as the sums.
    """
    steps, factors = np.empty((len(items) + 1, 2), np.int32), np.zeros((len(items), 2), np.float32)
    steps[:-1], steps[-1] = borders.take(items[::-1], axis=0), 0
    factors[:, 0] = weights[::-1]
    sums = np.zeros(matrix.shape[1] + 1, np.float32)
    _sparsetools.csc_matvec(len(sums), factors.size, steps.ravel(), matrix.indices, matrix.data, factors.ravel(), sums)
    return sums


def narrow(matrix: sparse.csr_array) -> sparse.csr_array:
    """The same with 32-bit indices, as all that is kept has: a product of two kinds of indices first copies one."""
    indices, starts = (part.astype(np.int32, copy=False) for part in (matrix.indices, matrix.indptr))
    return sparse.csr_array((matrix.data, indices, starts), shape=matrix.shape)


def nothing_at_zero(scores: Array) -> Array:
    """The same scores, float32, with NOTHING in the place of 0."""
    found = scores.astype(np.float32, copy=False)
    found[found == 0] = NOTHING
    return found


def compact(weights: Array, settings: SparseTopSettings) -> ItemWeights:
    """Dense `weights` [i, i] as they are kept: whole up to `dense_items`, beyond that the top of each row."""
    if len(weights) <= settings.dense_items:
        return ItemWeights(weights.astype(np.float32, copy=False))
    return ItemWeights(cut(weights, settings))


def cut(weights: Array, settings: SparseTopSettings) -> sparse.csr_array:
    """The top of each row of dense `weights` [i, i]."""
    return largest_of_rows(len(weights), lambda rows: sparse.csr_array(weights[rows]), settings.top_n)


def largest_of_rows(count: int, block: Callable[[slice], sparse.csr_array], top_n: int) -> sparse.csr_array:
    """The `top_n` values of each of `count` rows that are largest by size; `block(rows)` gives whole rows [b, columns].

    One block of rows is in memory at a time. Of equal values at the border those of the lower columns stay.
    """
    starts = range(0, max(count, 1), BLOCK_ROWS)
    kept = [_largest(block(slice(at, min(at + BLOCK_ROWS, count))), top_n) for at in starts]
    return sparse.csr_array(sparse.vstack(kept, format="csr")) if len(kept) > 1 else kept[0]


def _largest(rows: sparse.csr_array, top_n: int) -> sparse.csr_array:
    rows.sort_indices()
    kept = [
        at + _places(np.abs(rows.data[at:end]), top_n)
        for at, end in zip(rows.indptr[:-1], rows.indptr[1:], strict=True)
    ]
    places = np.concatenate(kept) if kept else np.zeros(0, np.int64)
    starts = np.cumsum([0, *map(len, kept)])
    data = rows.data[places].astype(np.float32)
    return sparse.csr_array((data, rows.indices[places].astype(np.int32), starts.astype(np.int32)), shape=rows.shape)


def _places(sizes: Array, count: int) -> Array:
    """Places of the `count` largest sizes, in order of place; none of size 0."""
    if len(sizes) <= count:
        return np.flatnonzero(sizes)
    border = np.partition(sizes, len(sizes) - count)[len(sizes) - count]
    above = np.flatnonzero(sizes > border)
    ties = np.flatnonzero((sizes == border) & (sizes > 0))[: count - len(above)]
    return np.sort(np.concatenate([above, ties]))


def csr_arrays(name: str, matrix: sparse.csr_array) -> dict[str, Array]:
    """The parts of a CSR matrix as named arrays."""
    return {f"{name}_{part}": getattr(matrix, part) for part in ("data", "indices", "indptr")}


def csr_restored(name: str, arrays: Mapping[str, Array], *, columns: int) -> sparse.csr_array:
    """The inverse of `csr_arrays` for a matrix of so many columns."""
    parts = tuple(arrays[f"{name}_{part}"] for part in ("data", "indices", "indptr"))
    return narrow(sparse.csr_array(parts, shape=(len(parts[2]) - 1, columns)))
