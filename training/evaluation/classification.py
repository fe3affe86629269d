"""Scores as predictions of a click: AUC, and PR-AUC (average precision), overall and by group.

A group, a user or a request, with only clicks or none has no order to judge: it is left out, and counted.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from feature_repo.core.errors import NotMeasurable

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class GroupedClicks:
    """Of the g groups that can be judged: `group` their numbers, `impressions`, `auc` and `pr_auc`, all [g]."""

    group: Array
    impressions: Array
    auc: Array
    pr_auc: Array
    left_out: int


@dataclass(frozen=True)
class ClickQuality:
    """None where it cannot be measured: only clicks, or none, overall or in every group.

    `gauc` weights groups by their impressions (Zhu et al., "Optimized Cost per Click in Taobao Display Advertising",
    2017).
    """

    auc: float | None
    pr_auc: float | None
    group_auc: float | None
    group_pr_auc: float | None
    gauc: float | None
    groups: int
    left_out: int


def click_quality(clicked: Array, scores: Array, group: Array) -> ClickQuality:
    """`clicked` [n] 0 or 1, `scores` [n] higher is better, `group` [n] whole numbers from 0."""
    found = grouped(clicked, scores, group)
    judged = len(found.group)
    both = 0 < clicked.sum() < len(clicked)
    return ClickQuality(
        auc=float(roc_auc_score(clicked, scores)) if both else None,
        pr_auc=float(average_precision_score(clicked, scores)) if both else None,
        group_auc=float(found.auc.mean()) if judged else None,
        group_pr_auc=float(found.pr_auc.mean()) if judged else None,
        gauc=float(np.average(found.auc, weights=found.impressions)) if judged else None,
        groups=judged,
        left_out=found.left_out,
    )


def grouped(clicked: Array, scores: Array, group: Array) -> GroupedClicks:
    """AUC and average precision of each group, all groups at once.

    Rows are sorted by group and falling score; a step is a run of equal scores in one group, as scikit-learn's
    thresholds are. AUC is the share of pairs in the right order, ties half (Mann and Whitney, 1947).
    """
    _check(clicked, scores, group)
    order = np.lexsort((-scores, group))
    of_row, ranked = group[order], scores[order]
    begins = np.concatenate([[True], (of_row[1:] != of_row[:-1]) | (ranked[1:] != ranked[:-1])])
    starts = np.flatnonzero(begins)
    step_group = of_row[starts]
    hits = np.add.reduceat(clicked[order].astype(np.float64), starts)
    size = np.diff(np.concatenate([starts, [len(order)]])).astype(np.float64)
    misses = size - hits
    groups, of_step = np.unique(step_group, return_inverse=True)
    positives, negatives = np.bincount(of_step, hits), np.bincount(of_step, misses)
    hits_so_far, size_so_far = _within(hits, of_step), _within(size, of_step)
    ordered_pairs = np.bincount(of_step, misses * (hits_so_far - hits / 2))
    gained = np.bincount(of_step, hits * hits_so_far / size_so_far)
    kept = (positives > 0) & (negatives > 0)
    return GroupedClicks(
        group=groups[kept],
        impressions=(positives + negatives)[kept].astype(np.int64),
        auc=ordered_pairs[kept] / (positives * negatives)[kept],
        pr_auc=gained[kept] / positives[kept],
        left_out=int((~kept).sum()),
    )


def _within(values: Array, of_step: Array) -> Array:
    """Running sum of `values` inside each group; steps of a group stand together."""
    total = np.cumsum(values)
    first = np.searchsorted(of_step, of_step)
    inside: Array = total - (total - values)[first]
    return inside


def _check(clicked: Array, scores: Array, group: Array) -> None:
    if not len(clicked) or not clicked.shape == scores.shape == group.shape:
        raise NotMeasurable(
            f"expected clicks, scores and groups of the same impressions, at least one; got shapes {clicked.shape},"
            f" {scores.shape} and {group.shape}"
        )
    if not np.isin(clicked, (0, 1)).all():
        raise NotMeasurable("expected clicks of 0 or 1")
    if not np.isfinite(scores).all():
        raise NotMeasurable("expected finite scores")
