"""Kernel ridge regression over users: what those met whose past is like this one's, with negative weights as well.

Sachdeva et al., "Infinite recommendation networks", NeurIPS 2022: an autoencoder of infinite width is a ridge in the
space of a kernel over bags, solved in closed form. With the kernel matrix K [u, u] and the bags X [u, i], the dual
weights are A = (K + lambda I)^-1 X and the scores of a bag x are k(x, X) A. Here k is the Gaussian kernel on the unit
sphere, exp(s (cos - 1)), and the cosine a mean of two: of the bags, and of the bags as EDLAE completes them, in which
two users may be alike who have no item in common.

It answers from the bags of the training users, persons' rows. So no bundle keeps it.
"""

from collections.abc import Mapping
from typing import Self

import numpy as np
from scipy import linalg, sparse

from training.retrieval.edlae import edlae_weights
from training.retrieval.port import NOTHING, Array, Catalogue, Log, Queries, spread
from training.retrieval.sparse_top import csr_arrays, csr_restored, nothing_at_zero
from training.settings import EdlaeSettings, KernelSettings


class Kernel:
    name = "kernel"
    servable = False

    def __init__(self, settings: KernelSettings, completion: EdlaeSettings) -> None:
        self._settings = settings
        self._completion = completion

    def fit(self, log: Log, *, seed: int) -> Self:
        active = np.flatnonzero(np.diff(log.met.indptr))
        if len(active) > self._settings.most_users:
            active = np.sort(np.random.default_rng(seed).choice(active, self._settings.most_users, replace=False))
        met = sparse.csr_array(log.met[active])
        popular = np.argsort(-log.met.sum(axis=0), kind="stable")
        block = np.sort(popular[: self._completion.most_items if self._settings.completed else 0])
        completion = edlae_weights(sparse.csr_array(met[:, block]), self._completion)
        self._keep(met, completion, block)
        self._dual = np.zeros(met.shape, np.float32)
        if len(active):
            kernel = self._kernel(met)
            kernel[np.diag_indices_from(kernel)] += self._settings.regularization
            factor = linalg.cho_factor(kernel, lower=True, overwrite_a=True, check_finite=False)
            self._dual = linalg.cho_solve(factor, met.toarray(), overwrite_b=True, check_finite=False)
        return self

    def scores(self, queries: Queries, catalogue: Catalogue) -> Array:
        found = nothing_at_zero(self._kernel(queries.met) @ self._dual)
        found[np.diff(queries.met.indptr) == 0] = NOTHING
        return spread(found, catalogue)

    def arrays(self) -> dict[str, Array]:
        kept = {"dual": self._dual, "completion": self._completed, "block": self._block}
        return {**csr_arrays("met", self._met), **kept}

    def restore(self, arrays: Mapping[str, Array]) -> Self:
        self._dual = arrays["dual"]
        self._keep(csr_restored("met", arrays, columns=self._dual.shape[1]), arrays["completion"], arrays["block"])
        return self

    def _keep(self, met: sparse.csr_array, completion: Array, block: Array) -> None:
        self._met, self._completed, self._block = met, completion, block
        self._units, self._completed_units = self._profiles(met)

    def _profiles(self, bags: sparse.csr_array) -> tuple[sparse.csr_array, Array]:
        """Unit vectors of `bags` [q, i], and of what EDLAE makes of them [q, b]."""
        lengths = np.sqrt(np.asarray((bags * bags).sum(axis=1), np.float32))
        units = sparse.csr_array(bags / np.where(lengths > 0, lengths, 1)[:, None])
        completed = bags[:, self._block] @ self._completed
        norms = np.linalg.norm(completed, axis=1, keepdims=True)
        return units, completed / np.where(norms > 0, norms, 1)

    def _kernel(self, bags: sparse.csr_array) -> Array:
        """k of `bags` [q, i] with all training users, float32 [q, u]."""
        units, completed = self._profiles(bags)
        share = np.float32(self._settings.completed)
        cosine = (units @ self._units.T).toarray() * (1 - share) + share * (completed @ self._completed_units.T)
        kernel: Array = np.exp(np.float32(self._settings.sharpness) * (cosine - 1)).astype(np.float32, copy=False)
        return kernel
