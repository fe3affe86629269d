"""EASE: a linear autoencoder over the items met, solved in closed form.

Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", WWW 2019: with P = (X'X + lambda I)^-1 the weights are
B = I - P diagMat(1 / diag(P)), and a user's scores are x'B.

X'X is dense. A vocabulary of more than `most_items` items is cut to those that most users met: the inverse grows with
the third power, and the others have too few events to weigh. The retriever has nothing to say of them.
"""

from typing import Self

import numpy as np
from scipy import linalg, sparse

from training.retrieval.item_item import ItemItem, of_most_met
from training.retrieval.port import Array, Log
from training.settings import EaseSettings, SparseTopSettings


class Ease(ItemItem):
    name = "ease"

    def __init__(self, settings: EaseSettings, sparse: SparseTopSettings) -> None:
        self._settings = settings
        self._sparse = sparse

    def fit(self, log: Log, *, seed: int) -> Self:  # noqa: ARG002 - a closed form has nothing to draw
        met = strongest(log) if self._settings.weighted else log.met

        def weights_of(items: Array) -> Array:
            return ease_weights(met[:, items], self._settings.regularization)

        self._weights = of_most_met(log, self._settings.most_items, weights_of, self._sparse)
        return self


def ease_weights(met: sparse.csr_array, regularization: float) -> Array:
    """B of `met` [u, i], float32 [i, i], its diagonal 0."""
    gram: Array = (met.T @ met).toarray().astype(np.float32)
    gram[np.diag_indices_from(gram)] += regularization
    inverse: Array = linalg.inv(gram, overwrite_a=True, check_finite=False, assume_a="pos") if len(gram) else gram
    weights = np.ascontiguousarray(inverse / -np.diag(inverse))  # rows are summed at every request
    weights[np.diag_indices_from(weights)] = 0.0
    return weights


def strongest(log: Log) -> sparse.csr_array:
    """The largest weight of a user's events with an item, float32 [u, i]."""
    order = np.lexsort((-log.weights, log.items, log.users))
    users, items, weights = log.users[order], log.items[order], log.weights[order]
    first = np.ones(len(order), bool)
    first[1:] = (users[1:] != users[:-1]) | (items[1:] != items[:-1])
    kept = (weights[first].astype(np.float32), (users[first], items[first]))
    return sparse.csr_array(kept, shape=log.met.shape)
