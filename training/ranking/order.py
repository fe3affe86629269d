"""How much two versions of a ranker differ in the order that they give the same candidates of the same requests."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from training.ranking.query_groups import group_starts

Array = np.ndarray[Any, Any]

PERSISTENCE = 0.9  # of the reader of rank-biased overlap: the first ten places have 86 % of the weight


@dataclass(frozen=True)
class OrderChange:
    """Means over requests; 1 everywhere means that nothing changed."""

    requests: int
    kendall_tau: float
    rank_biased_overlap: float
    top_overlap: float


def order_change(before: Array, after: Array, groups: Array, *, k: int = 10) -> OrderChange:
    """Compare two scores [n] of the same candidates; `groups` [n] ascending, `k` the length of a slate.

    A request with one candidate, or with candidates that one version does not tell apart, has no tau.
    """
    starts = group_starts(groups)
    pairs = [(before[a:b], after[a:b]) for a, b in zip(starts, [*starts, len(groups)][1:], strict=True)]
    taus = [kendall_tau(*pair) for pair in pairs]
    slates = [tuple(np.argsort(-scores, kind="stable")[:k].tolist() for scores in pair) for pair in pairs]
    known = [tau for tau in taus if tau is not None]
    return OrderChange(
        requests=len(pairs),
        kendall_tau=_mean(known),
        rank_biased_overlap=_mean([rank_biased_overlap(*slate) for slate in slates]),
        top_overlap=_mean([top_overlap(*slate) for slate in slates]),
    )


def kendall_tau(before: Array, after: Array) -> float | None:
    """Kendall's tau-b of two scores [c]: agreeing less disagreeing pairs, corrected for ties; None if undefined."""
    if len(np.unique(before)) < 2 or len(np.unique(after)) < 2:
        return None
    return float(stats.kendalltau(before, after).statistic)


def rank_biased_overlap(left: Sequence[object], right: Sequence[object], *, persistence: float = PERSISTENCE) -> float:
    """RBO_ext of two slates (Webber, Moffat and Zobel, TOIS 2010, equation 32), without repeats, of the same length k.

    (1 - p) / p * sum over d of p^d A_d  +  p^k A_k, where A_d is the overlap of the first d places divided by d.
    """
    k = min(len(left), len(right))
    if k == 0:
        return 1.0
    agreement = [len(set(left[:d]) & set(right[:d])) / d for d in range(1, k + 1)]
    seen = sum(persistence**d * a for d, a in enumerate(agreement, start=1)) * (1 - persistence) / persistence
    return seen + persistence**k * agreement[-1]


def top_overlap(left: Sequence[object], right: Sequence[object]) -> float:
    """Share of a slate that is in the other one, whatever the place."""
    longest = max(len(left), len(right))
    return len(set(left) & set(right)) / longest if longest else 1.0


def _mean(values: Sequence[float]) -> float:
    # Versions that tell no candidate apart agree.
    return float(np.mean(values)) if len(values) else 1.0
