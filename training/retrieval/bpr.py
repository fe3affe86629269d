"""BPR: matrix factorisation that ranks a met item above any other, with every user's vector made from the items met.

Rendle et al., "BPR: Bayesian personalized ranking from implicit feedback", UAI 2009. A user's vector is the mean of
the vectors of the items met, and not the one that was trained: a new user has one, too, new events count at once,
nothing of a person is kept, and on validation cuts it ranks better, since the trained ones overfit.
"""

from collections.abc import Mapping
from typing import Self

import numpy as np
from scipy import sparse

from training.retrieval.native_threads import one_blas_thread
from training.retrieval.port import NOTHING, Array, Catalogue, Log, Queries, spread
from training.settings import BprSettings


class Bpr:
    name = "bpr"
    servable = True

    def __init__(self, settings: BprSettings) -> None:
        self._settings = settings
        self._items: Array
        self._biases: Array

    def fit(self, log: Log, *, seed: int) -> Self:
        settings, met = self._settings, log.met
        if met.nnz == 0:
            silent = np.full(len(log.item_ids), NOTHING, np.float32)
            return self.restore({"items": np.zeros((len(silent), settings.factors), np.float32), "biases": silent})
        with one_blas_thread():
            from implicit.cpu.bpr import BayesianPersonalizedRanking

            model = BayesianPersonalizedRanking(
                factors=settings.factors,
                learning_rate=settings.learning_rate,
                regularization=settings.regularization,
                iterations=settings.iterations,
                random_state=seed,
                num_threads=1,  # several would write to the same vectors in no fixed order
            )
            model.fit(sparse.csr_matrix(met), show_progress=False)
        biases = np.where(met.sum(axis=0) > 0, model.item_factors[:, -1], NOTHING).astype(np.float32)
        return self.restore({"items": np.ascontiguousarray(model.item_factors[:, :-1]), "biases": biases})

    def scores(self, queries: Queries, catalogue: Catalogue) -> Array:
        weights = queries.met.sum(axis=1)[:, None]
        users = (queries.met @ self._items) / np.where(weights > 0, weights, 1)
        return spread(np.where(weights > 0, users @ self._items.T + self._biases, np.float32(NOTHING)), catalogue)

    def arrays(self) -> dict[str, Array]:
        return {"items": self._items, "biases": self._biases}

    def restore(self, arrays: Mapping[str, Array]) -> Self:
        self._items, self._biases = arrays["items"], arrays["biases"]
        return self
