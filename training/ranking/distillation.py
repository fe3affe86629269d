"""A new version that does not reorder everything: it learns from the champion's order, too.

Churn reduction by distillation (Jiang et al., "Churn Reduction via Distillation", ICLR 2022): training on a mix of
labels and the earlier model's predictions is the solution of training under a bound on churn. A ranker's prediction is
an order, so the teacher's label is a discounted gain of the first places, as in ranking distillation (Tang and Wang,
KDD 2018):

    g'(q, i) = (1 - a) g(q, i) / max_j g(q, j) + a t(q, i),    t(q, i) = 1 / log2(1 + rank(q, i)) for rank <= depth
"""

from typing import Any

import numpy as np

from feature_repo.core.errors import DatasetError
from training.ranking.query_groups import QueryGroups, group_starts

Array = np.ndarray[Any, Any]


def mixed(rows: QueryGroups, *, share: float, depth: int) -> QueryGroups:
    """Rows whose gains [n] are mixed with the champion's order; `share` is the formula's a.

    Raises:
        DatasetError: there are no scores of the champion.
    """
    if rows.champion is None or len(rows.champion) != len(rows):
        raise DatasetError("distillation needs the champion's score of every candidate; there is none")
    starts = group_starts(rows.groups)
    largest = np.repeat(np.maximum.reduceat(rows.relevance, starts), np.diff([*starts, len(rows)]))
    own = np.divide(rows.relevance, largest, out=np.zeros(len(rows), np.float32), where=largest > 0)
    gains = (1 - share) * own + share * teacher_gains(rows.champion, rows.groups, depth=depth)
    return rows.with_gains(gains.astype(np.float32))


def teacher_gains(scores: Array, groups: Array, *, depth: int) -> Array:
    """Discounted gain [n] of each candidate's rank by `scores` in its request; 0 beyond `depth`."""
    ranks = ranks_within(scores, groups)
    found: Array = np.where(ranks <= depth, 1.0 / np.log2(1.0 + ranks), 0.0)
    return found


def ranks_within(scores: Array, groups: Array) -> Array:
    """Rank [n] from 1 of each row in its group, highest score first; equal scores keep their order."""
    order = np.lexsort((-scores, groups))
    starts = group_starts(groups[order])
    ranks = np.empty(len(scores), np.int64)
    ranks[order] = np.arange(len(scores)) - np.repeat(starts, np.diff([*starts, len(scores)])) + 1
    return ranks
