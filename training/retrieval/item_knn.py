"""Item-kNN: an item is scored by those of its nearest neighbours that were met.

Sarwar et al., "Item-based collaborative filtering recommendation algorithms", WWW 2001, with the asymmetric cosine of
Aiolli (RecSys 2013) and the shrinkage of Bell and Koren (ICDM 2007): n_jk users met both the item j that was met and
the item k that is scored, and s(j, k) = n_jk / (n_j^a n_k^(1 - a) + shrinkage). a = 0.5 is the cosine.
"""

from typing import Self

import numpy as np
from scipy import sparse

from training.retrieval.item_item import ItemItem
from training.retrieval.port import Array, Log
from training.retrieval.sparse_top import ItemWeights, largest_of_rows, narrow
from training.settings import ItemKnnSettings


class ItemKnn(ItemItem):
    name = "item-knn"

    def __init__(self, settings: ItemKnnSettings) -> None:
        self._settings = settings

    def fit(self, log: Log, *, seed: int) -> Self:  # noqa: ARG002 - counting has nothing to draw
        met = log.met
        by_item = sparse.csr_array(met.T)

        def similar(scored: slice) -> sparse.csr_array:
            return self._similarities(sparse.csr_array(by_item[scored] @ met), met.sum(axis=0), scored)

        neighbours = largest_of_rows(met.shape[1], similar, self._settings.neighbours)
        self._weights = ItemWeights(narrow(sparse.csr_array(neighbours.T)))
        return self

    def _similarities(self, common: sparse.csr_array, counts: Array, scored: slice) -> sparse.csr_array:
        """s(j, k) of a block of scored items k, [b, i], from `common` users [b, i]; 0 on the diagonal."""
        k = scored.start + np.repeat(np.arange(common.shape[0]), np.diff(common.indptr))
        j = common.indices
        lengths = counts[j] ** self._settings.asymmetry * counts[k] ** (1 - self._settings.asymmetry)
        similar = np.where(j == k, 0.0, common.data / (lengths + self._settings.shrinkage))
        return sparse.csr_array((similar, j, common.indptr), shape=common.shape)
