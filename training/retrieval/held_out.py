"""Requests that are held out of a tower's training, and NDCG on them over the whole catalogue."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from feature_repo.features.columns import Columns

Array = np.ndarray[Any, Any]

SLATE = 10


@dataclass(frozen=True)
class Held:
    """v requests: `queries` inputs of the query tower [v], `relevant` and `met` [v, m] with entries above 0."""

    queries: Columns
    relevant: sparse.csr_array
    met: sparse.csr_array


def ndcg_of(scores: Array, held: Held, *, spare_met: bool) -> float:
    """Mean NDCG@SLATE of full-catalogue scores [v, m]; with `spare_met`, what was met before is not recommended.

    Requests without a relevant item are passed over; 0.0 where none has one.
    """
    relevant = held.relevant.toarray() > 0
    if spare_met:
        scores = np.where((held.met.toarray() > 0) & ~relevant, -np.inf, scores)
    size = min(SLATE, scores.shape[1])
    best = np.argpartition(-scores, size - 1, axis=1)[:, :size]
    best = np.take_along_axis(
        best, np.argsort(-np.take_along_axis(scores, best, axis=1), axis=1, kind="stable"), axis=1
    )
    gains = 1.0 / np.log2(np.arange(2, size + 2))
    found = (np.take_along_axis(relevant, best, axis=1) * gains).sum(axis=1)
    wanted = relevant.sum(axis=1)
    ideal = np.r_[0.0, np.cumsum(gains)][np.minimum(wanted, size)]
    return float((found[wanted > 0] / ideal[wanted > 0]).mean()) if (wanted > 0).any() else 0.0
