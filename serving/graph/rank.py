"""Stages 4 and 5, features and ranking: one matrix over the candidates, one score each.

What a user declared and what a user rejected moves scores here. The unit is the distance between the worst and the best
candidate of the request, as for the boosts of the rules file: a ranker's scores have no unit of their own.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from serving.graph.filter import rows_of
from serving.graph.matching import Matching
from serving.graph.preferences import strength
from serving.graph.visit import User, Visit

if TYPE_CHECKING:
    from training.recommender import Retrieved

Array = np.ndarray[Any, Any]

DECLARED_BOOST = 0.5  # of an item that matches everything that a user without any interaction declared
REJECTED_PENALTY = 0.5  # of an item that is the same, to the item tower, as one that the user rejected
ALIKE = 0.3  # cosine from which on an item is like a rejected one; below it lies what merely is in the same catalogue


class FeatureStage:
    """Gives the ranker's matrix [c, f]."""

    def matrix(self, visit: Visit, retrieved: "Retrieved") -> Array:
        return visit.recommender.features(retrieved)


class RankStage:
    """Gives a finite score for each candidate [c]."""

    def __init__(self, matching: Matching) -> None:
        self._matching = matching

    def scores(self, visit: Visit, matrix: Array) -> Array:
        """The ranker's own scores.

        Raises:
            FloatingPointError: a score is not finite, so there is no order.
        """
        scores = visit.recommender.rank_scores(matrix)
        if not np.isfinite(scores).all():
            raise FloatingPointError(f"a ranker gives finite scores; got {scores[~np.isfinite(scores)][0]}")
        return scores

    def moved(self, visit: Visit, user: User, retrieved: "Retrieved", scores: Array) -> Array:
        """`scores`, higher for what matches declared attributes, lower for what is like rejected items."""
        recommender, rows = visit.recommender, retrieved.rows
        change = np.zeros(len(rows), np.float32)
        if user.preferences.attributes:
            share = self._matching.share(recommender.items, user.preferences.attributes)[rows]
            change += DECLARED_BOOST * strength(user.interactions) * share
        rejected = rows_of(recommender.items, user.hidden)
        if rejected:
            change -= REJECTED_PENALTY * likeness(recommender.embeddings, rows, rejected)
        return scores + change * _span(scores) if change.any() else scores


def likeness(embeddings: Array, rows: Array, others: list[int]) -> Array:
    """Float32 [c] from 0 to 1: how like the nearest of `others` each of `rows` is, by the cosine of their vectors."""
    nearest = (embeddings[rows] @ embeddings[others].T).max(axis=1)
    found: Array = np.clip((nearest - ALIKE) / (1 - ALIKE), 0.0, 1.0)
    return found


def _span(scores: Array) -> float:
    span = float(scores.max() - scores.min()) if len(scores) else 0.0
    return span or 1.0  # candidates that the ranker cannot tell apart
