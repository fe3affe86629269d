"""User-kNN: what the users met who have most in common with this one.

Herlocker et al., "An algorithmic framework for performing collaborative filtering", SIGIR 1999; here over met items:
the cosine of two users, shrunk, sums up over the k nearest ones who met an item.

It answers from the bags of the training users, persons' rows. So it is a baseline to compare with, and no bundle keeps
it.
"""

from collections.abc import Mapping
from typing import Self

import numpy as np
from scipy import sparse

from training.retrieval.port import Array, Catalogue, Log, Queries, spread
from training.retrieval.sparse_top import csr_arrays, csr_restored, largest_of_rows, narrow, nothing_at_zero
from training.settings import UserKnnSettings


class UserKnn:
    name = "user-knn"
    servable = False

    def __init__(self, settings: UserKnnSettings) -> None:
        self._settings = settings
        self._met: sparse.csr_array
        self._by_item: sparse.csr_array
        self._roots: Array

    def fit(self, log: Log, *, seed: int) -> Self:  # noqa: ARG002 - counting has nothing to draw
        return self.restore({**csr_arrays("met", log.met), "items": np.array(len(log.item_ids))})

    def scores(self, queries: Queries, catalogue: Catalogue) -> Array:
        def similar(rows: slice) -> sparse.csr_array:
            asked = narrow(sparse.csr_array(queries.met[rows]))
            return self._cosines(sparse.csr_array(asked @ self._by_item), np.sqrt((asked * asked).sum(axis=1)))

        nearest = largest_of_rows(len(queries), similar, self._settings.neighbours)
        return spread(nothing_at_zero((nearest @ self._met).toarray()), catalogue)

    def arrays(self) -> dict[str, Array]:
        return {**csr_arrays("met", self._met), "items": np.array(self._met.shape[1])}

    def restore(self, arrays: Mapping[str, Array]) -> Self:
        self._met = csr_restored("met", arrays, columns=int(arrays["items"]))
        self._by_item = narrow(sparse.csr_array(self._met.T))
        self._roots = np.sqrt(np.diff(self._met.indptr))
        return self

    def _cosines(self, common: sparse.csr_array, asked: Array) -> sparse.csr_array:
        """Shrunk cosines [b, u] from items in common, for queries whose bags have the lengths `asked` [b]."""
        lengths = np.repeat(asked, np.diff(common.indptr)) * self._roots[common.indices]
        shrunk = lengths + self._settings.shrinkage
        # The square of a tiny weight is 0, and so is the length of a bag of nothing else.
        cosines = np.divide(common.data, shrunk, out=np.zeros(shrunk.shape), where=shrunk > 0).astype(np.float32)
        return sparse.csr_array((cosines, common.indices, common.indptr), shape=common.shape)
