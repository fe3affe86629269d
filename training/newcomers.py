"""Newcomers: users without a single event.

The ranker learns from few of them, and what it makes of chance in their first slates costs more than it gains. So their
candidates keep part of the order in which the retrievers that can say something of them agree: reciprocal ranks, as in
the fusion of candidates, added to the ranker's scores.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from training.retrieval.fusion import SMOOTHING, rank_feature

Array = np.ndarray[Any, Any]

RECENCY = "user_recency_days"  # NaN before the first event


def with_prior(
    scores: Array, matrix: Array, names: Sequence[str], weights: Mapping[str, float], *, depth: int
) -> Array:
    """Scores [n] of candidates [n, features]; those of newcomers raised by up to the sum of `weights`.

    Each retriever that `names` knows raises what it ranks first by its whole weight, what is beyond `depth` not at all.
    """
    known = {rank_feature(name): weight for name, weight in weights.items() if rank_feature(name) in names}
    new = np.flatnonzero(np.isnan(matrix[:, names.index(RECENCY)])) if known else np.zeros(0, np.int64)
    if not len(new):
        return scores
    raised: Array = np.array(scores, np.float32)
    for name, weight in known.items():
        ranks = matrix[new, names.index(name)]
        raised[new] += np.where(ranks <= depth, weight * (SMOOTHING + 1) / (SMOOTHING + ranks), 0.0).astype(np.float32)
    return raised
