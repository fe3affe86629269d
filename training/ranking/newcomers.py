"""Newcomers: users without a single event.

The ranker learns from few of them, and what it makes of chance in their first slates costs more than it gains. So their
candidates keep part of the order in which the retrievers that can say something of them agree: reciprocal ranks, as in
the fusion of candidates, added to the ranker's scores.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from training.retrieval.fusion import SMOOTHING, rank_feature
from training.settings import NewcomerSettings

Array = np.ndarray[Any, Any]

RECENCY = "user_recency_days"  # NaN before the first event


def with_prior(scores: Array, matrix: Array, names: Sequence[str], settings: NewcomerSettings, *, depth: int) -> Array:
    """Scores [n] of candidates [n, features]; those of newcomers raised by up to `weight`.

    A candidate that every retriever ranks first gets the whole weight, one beyond everybody's `depth` nothing.
    """
    places = [names.index(rank_feature(name)) for name in settings.retrievers if rank_feature(name) in names]
    if not settings.weight or not places:
        return scores
    new = np.flatnonzero(np.isnan(matrix[:, names.index(RECENCY)]))
    if not len(new):
        return scores
    ranks = matrix[new][:, places]
    agreed = np.where(ranks <= depth, (SMOOTHING + 1) / (SMOOTHING + ranks), 0.0).mean(axis=1)
    raised: Array = np.array(scores, np.float32)
    raised[new] += np.float32(settings.weight) * agreed.astype(np.float32)
    return raised
