"""What is taken for granted at the opening of a visit: after a pause, or the first time.

The ranker learns from few openings, and what it makes of chance in them costs more than it gains. So the candidates of
an opening keep part of the order in which chosen retrievers rank them: reciprocal ranks, as in the fusion of
candidates, added to the ranker's scores. Within a visit the ranker decides alone.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from training.retrieval.fusion import SMOOTHING, rank_feature
from training.settings import PriorSettings

Array = np.ndarray[Any, Any]

RECENCY = "user_recency_days"  # NaN before the first event


def with_prior(
    scores: Array, matrix: Array, names: Sequence[str], prior: PriorSettings, *, pause_hours: float, depth: int
) -> Array:
    """Scores [n] of candidates [n, features], those of openings raised by up to the sum of the weights.

    Each retriever that `names` knows raises what it ranks first by its whole weight, what is beyond `depth` not at all.
    """
    if not (prior.openings or prior.newcomers):
        return scores
    days = matrix[:, names.index(RECENCY)]
    new = np.isnan(days)
    opening = new | (days * 24 > pause_hours)
    if not opening.any():
        return scores
    raised: Array = np.array(scores, np.float32)
    for weights, whose in ((prior.openings, opening), (prior.newcomers, new)):
        _raise(raised, matrix, names, weights, np.flatnonzero(whose), depth)
    return raised


def _raise(
    scores: Array, matrix: Array, names: Sequence[str], weights: Mapping[str, float], rows: Array, depth: int
) -> None:
    for name, weight in weights.items():
        if rank_feature(name) in names:
            ranks = matrix[rows, names.index(rank_feature(name))]
            share = np.where(ranks <= depth, (SMOOTHING + 1) / (SMOOTHING + ranks), 0.0)
            scores[rows] += (weight * share).astype(np.float32)
