"""Item embeddings to start from: the right singular vectors of who met what."""

from typing import Any

import numpy as np
from scipy import sparse

Array = np.ndarray[Any, Any]

POWER_ITERATIONS = 4  # of the randomised decomposition


def spectral_items(met: sparse.csr_array, dimension: int, *, seed: int) -> Array:
    """float32 [m, dimension], of mean length 1, from `met` [u, m] scaled by the roots of users' and items' counts.

    Items met by the same users start near each other, which random rows take most of a training to find out. A matrix
    of lower rank than `dimension` leaves the rest small and random. The decomposition is randomised (Halko et al.,
    "Finding structure with randomness", 2011) under `seed`.
    """
    from sklearn.utils.extmath import randomized_svd

    users, items = (1.0 / np.sqrt(np.maximum(np.asarray(met.sum(axis=axis)).ravel(), 1.0)) for axis in (1, 0))
    scaled = sparse.csr_matrix(sparse.diags_array(users) @ met @ sparse.diags_array(items))
    found = np.random.default_rng(seed).normal(0.0, 0.01, (met.shape[1], dimension))
    rank = min(dimension, *met.shape)
    _, values, vectors = randomized_svd(scaled, rank, n_iter=POWER_ITERATIONS, random_state=seed)
    found[:, :rank] += (vectors * np.sqrt(values)[:, None]).T
    rows: Array = found / np.linalg.norm(found, axis=1).mean()
    return rows.astype(np.float32)
