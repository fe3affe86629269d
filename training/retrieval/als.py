"""ALS on implicit feedback, with every user's vector solved anew from the items met.

Hu, Koren and Volinsky, "Collaborative filtering for implicit feedback datasets", ICDM 2008: with the items' vectors Y,
confidence C and preference p = 1 for a met item, a user's vector is (Y'Y + Y'(C - I)Y + lambda I)^-1 Y'C p. What was
met long ago, and so weighs w < 1 in a bag, adds w times what it else would to C - I and to C p.
So new users and new events count at once, and nothing of a person is kept.
"""

from collections.abc import Mapping
from typing import Self

import numpy as np
from scipy import sparse

from training.retrieval.native_threads import one_blas_thread
from training.retrieval.port import NOTHING, Array, Catalogue, Log, Queries, spread
from training.settings import AlsSettings


class Als:
    name = "als"
    servable = True

    def __init__(self, settings: AlsSettings) -> None:
        self._settings = settings
        self._items: Array
        self._gram: Array
        self._silent: Array  # rows of items that nobody met

    def fit(self, log: Log, *, seed: int) -> Self:
        settings = self._settings
        if log.met.nnz == 0:
            return self.restore({"items": np.zeros((len(log.item_ids), settings.factors), np.float32)})
        with one_blas_thread():
            from implicit.cpu.als import AlternatingLeastSquares

            model = AlternatingLeastSquares(
                factors=settings.factors,
                regularization=settings.regularization,
                alpha=settings.confidence,
                iterations=settings.iterations,
                random_state=seed,
            )
            model.fit(sparse.csr_matrix(log.met), show_progress=False)
        return self.restore({"items": model.item_factors})

    def scores(self, queries: Queries, catalogue: Catalogue) -> Array:
        found = self.fold_in(queries.met) @ self._items.T
        found[:, self._silent] = NOTHING
        found[np.diff(queries.met.indptr) == 0] = NOTHING
        return spread(found, catalogue)

    def fold_in(self, met: sparse.csr_array) -> Array:
        """Users' vectors [q, factors] from the items that they met [q, i]."""
        items, confidence = self._items, np.float32(self._settings.confidence)
        left = np.empty((met.shape[0], *self._gram.shape), np.float32)
        right = np.empty((met.shape[0], items.shape[1], 1), np.float32)
        for row, (start, end) in enumerate(zip(met.indptr[:-1], met.indptr[1:], strict=True)):
            found, weights = items[met.indices[start:end]], met.data[start:end]
            left[row] = self._gram + (found.T * ((confidence - 1) * weights)) @ found
            right[row, :, 0] = (confidence * weights) @ found
        solved: Array = np.linalg.solve(left, right)[:, :, 0]
        return solved

    def arrays(self) -> dict[str, Array]:
        return {"items": self._items}

    def restore(self, arrays: Mapping[str, Array]) -> Self:
        self._items = arrays["items"]
        self._silent = np.flatnonzero(~self._items.any(axis=1))
        ridge = np.float32(self._settings.regularization) * np.eye(self._items.shape[1], dtype=np.float32)
        self._gram = self._items.T @ self._items + ridge
        return self
