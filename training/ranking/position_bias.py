"""Position bias: a candidate shown high is clicked more than it deserves.

XGBoost's unbiased LambdaMART (Hu et al., "Unbiased LambdaMART", WWW 2019) estimates with the trees how likely a click
and a skip are at each place, and divides the pairs' gradients by it. It reads the place from the order of the rows, so
each request's rows must be sorted by the place where they were shown.
"""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import xgboost as xgb

from feature_repo.core.errors import DatasetError
from training.ranking.query_groups import QueryGroups, group_starts

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class PositionBias:
    """Relative to the first place, by place: how likely a click (t+) and a skip (t-) of a relevant item is."""

    clicked: Array
    skipped: Array


def in_shown_order(rows: QueryGroups) -> QueryGroups:
    """Each request's rows by the place where they were shown, those that were not after them in their own order.

    Only requests in which every relevant candidate was shown are kept: elsewhere the place of a click is not known.

    Raises:
        DatasetError: there are no positions, or no request has them.
    """
    if rows.positions is None:
        raise DatasetError("position_bias needs the position at which each candidate was shown; the events have none")
    shown = rows.positions >= 1
    kept = rows.take(_whole(shown | (rows.relevance <= 0), rows.groups))
    if len(kept) == 0 or kept.positions is None:
        raise DatasetError("position_bias needs requests whose relevant candidates carry a position; none does")
    place = np.where(kept.positions >= 1, kept.positions, np.iinfo(np.int64).max)
    return kept.take(np.lexsort((place, kept.groups)))


def estimated(booster: xgb.Booster) -> PositionBias | None:
    """What an unbiased ranker found out about places; None for a ranker that was trained without."""
    found = json.loads(booster.save_config())["learner"]["objective"]
    if not found.get("ti+"):
        return None
    return PositionBias(np.array(found["ti+"]), np.array(found["tj-"]))


def _whole(good: Array, groups: Array) -> Array:
    """Mask [n] of the requests all of whose rows are good."""
    starts = group_starts(groups)
    if len(starts) == 0:
        return good
    return np.repeat(np.logical_and.reduceat(good, starts), np.diff([*starts, len(groups)]))
