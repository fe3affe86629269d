"""EDLAE: EASE that has learnt from bags of which a part was hidden, solved in closed form.

Steck, "Autoencoders that don't overfit towards the identity", NeurIPS 2020: hiding each met item with probability p
adds p / (1 - p) diag(X'X) to the ridge lambda. Two weights are added. A user counts n_u to the power of minus
`user_balance`, so that few heavy users do not decide; an item's column is divided by the same kind of power of its
users, as in the normalised graphs of Shen et al., "How powerful is graph convolution for recommendation?", CIKM 2021.
"""

from typing import Self

import numpy as np
from scipy import linalg, sparse

from training.retrieval.item_item import ItemItem, of_most_met
from training.retrieval.port import Array, Log
from training.settings import EdlaeSettings, SparseTopSettings


class Edlae(ItemItem):
    name = "edlae"

    def __init__(self, settings: EdlaeSettings, sparse: SparseTopSettings) -> None:
        self._settings = settings
        self._sparse = sparse

    def fit(self, log: Log, *, seed: int) -> Self:  # noqa: ARG002 - a closed form has nothing to draw
        def weights_of(items: Array) -> Array:
            return edlae_weights(sparse.csr_array(log.met[:, items]), self._settings)

        self._weights = of_most_met(log, self._settings.most_items, weights_of, self._sparse)
        return self


def edlae_weights(met: sparse.csr_array, settings: EdlaeSettings) -> Array:
    """B of `met` [u, i], float32 [i, i], its diagonal 0: scores are bags times B."""
    if 0 in met.shape:
        return np.zeros((met.shape[1], met.shape[1]), np.float32)
    users, items = (
        power(met.sum(axis=axis), -p) for axis, p in ((1, settings.user_balance), (0, settings.item_balance))
    )
    gram = (met.T @ sparse.csr_array(met * users[:, None])).toarray() * items[:, None] * items
    gram = gram.astype(np.float32)
    hidden = settings.dropout / (1 - settings.dropout) * np.diag(gram)
    gram[np.diag_indices_from(gram)] += settings.regularization + hidden
    inverse: Array = linalg.inv(gram, overwrite_a=True, check_finite=False, assume_a="pos")
    weights = inverse / -np.diag(inverse) * items[:, None] / items
    weights[np.diag_indices_from(weights)] = 0.0
    return np.ascontiguousarray(weights, np.float32)


def power(counts: Array, exponent: float) -> Array:
    """Counts to a power, divided by their mean; a count of 0 is taken for 1."""
    raised = np.maximum(counts, 1.0) ** exponent
    scaled: Array = (raised / raised.mean()).astype(np.float32)
    return scaled
