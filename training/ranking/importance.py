"""Which features decide the order: exact SHAP values of the trees, and their gain.

SHAP values of a tree ensemble (Lundberg et al., "From local explanations to global understanding with explainable AI
for trees", Nature Machine Intelligence 2020) sum to the score. What is the same for all candidates of a request does
not move the order, so beside the usual mean |SHAP| there is the one around the request's mean.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xgboost as xgb

from training.ranking.constraints import plain
from training.ranking.query_groups import group_starts

Array = np.ndarray[Any, Any]

SAMPLE = 5_000  # candidates; some milliseconds each


@dataclass(frozen=True)
class Importance:
    """By feature name, most important first: mean |SHAP|, the same within a request, and the mean gain of a split."""

    shap: dict[str, float]
    shap_within_request: dict[str, float]
    gain: dict[str, float]


def importance(
    booster: xgb.Booster,
    matrix: Array,
    groups: Array,
    feature_names: Sequence[str],
    *,
    rng: np.random.Generator,
    sample: int = SAMPLE,
) -> Importance:
    """Importances on whole requests drawn at random, about `sample` candidates; matrix [n, f], groups [n] ascending."""
    rows = sampled_requests(groups, sample, rng)
    found = contributions(booster, matrix[rows])
    gain = booster.get_score(importance_type="gain")
    return Importance(
        shap=_ordered(feature_names, np.abs(found).mean(axis=0)),
        shap_within_request=_ordered(feature_names, np.abs(centred(found, groups[rows])).mean(axis=0)),
        gain=_ordered(feature_names, np.array([gain.get(plain(name), 0.0) for name in feature_names])),
    )


def contributions(booster: xgb.Booster, matrix: Array) -> Array:
    """SHAP values [n, f] of the margin; the expected margin, the same for all, is left out."""
    data = xgb.DMatrix(matrix, feature_names=booster.feature_names)
    found: Array = booster.predict(data, pred_contribs=True)
    return found[:, :-1]


def centred(values: Array, groups: Array) -> Array:
    """Values [n, f] less the mean of their request."""
    starts = group_starts(groups)
    sizes = np.diff([*starts, len(groups)])
    means = np.add.reduceat(values, starts, axis=0) / sizes[:, None]
    return values - np.repeat(means, sizes, axis=0)


def sampled_requests(groups: Array, rows: int, rng: np.random.Generator) -> Array:
    """Rows of randomly drawn whole requests, ascending: as many requests as fit into `rows`, one at least."""
    starts = group_starts(groups)
    sizes = np.diff([*starts, len(groups)])
    drawn = rng.permutation(len(starts))
    kept = drawn[: max(int(np.searchsorted(np.cumsum(sizes[drawn]), rows, side="right")), 1)]
    return np.flatnonzero(np.repeat(np.isin(np.arange(len(starts)), kept), sizes))


def _ordered(names: Sequence[str], values: Array) -> dict[str, float]:
    order = np.argsort(-values, kind="stable")
    return {names[at]: float(values[at]) for at in order}
