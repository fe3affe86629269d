"""Is one model better than another? Paired over the same requests, users resampled, seeds averaged.

Values of a model are [requests], or [seeds, requests] where it was trained with several seeds: its seeds are averaged
for each request first. So an interval speaks of the users that might have come, and not of one lucky seed; models may
have different numbers of seeds. Intervals are not widened for the number of models compared.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from feature_repo.core.errors import NotMeasurable
from training.evaluation.bootstrap import Interval, mean_interval, mean_intervals
from training.verdict import Verdict

Array = np.ndarray[Any, Any]

MARGIN = 0.005  # of NDCG or recall: a loss smaller than this counts as none


def seed_mean(values: Array) -> Array:
    """Mean over seeds of each request: [requests] from [requests] or [seeds, requests]."""
    if values.ndim not in (1, 2) or not values.size or not np.isfinite(values).all():
        raise NotMeasurable(f"expected finite values [requests] or [seeds, requests]; got shape {values.shape}")
    return values if values.ndim == 1 else np.asarray(values.mean(axis=0))


def difference(one: Array, other: Array, user: Array, weights: Array) -> Interval:
    """Mean of `one` minus mean of `other` with its paired interval; `user` [requests] and `weights` [resamples, users]
    as in `mean_interval`."""
    first, second = seed_mean(one), seed_mean(other)
    _check(first, second, user, weights)
    return mean_interval(first - second, user, weights)


def differences(values: Mapping[str, Array], reference: str, user: Array, weights: Array) -> dict[str, Interval]:
    """Every other model minus `reference`, all over the same resamples."""
    if reference not in values:
        raise NotMeasurable(f"expected a reference among {sorted(values)}; got {reference!r}")
    base = seed_mean(values[reference])
    gaps = {}
    for name, found in values.items():
        if name != reference:
            mean = seed_mean(found)
            _check(mean, base, user, weights)
            gaps[name] = mean - base
    return mean_intervals(gaps, user, weights)


def not_below(found: Interval | None, margin: float = MARGIN) -> Verdict:
    """PASS where the lower limit of a paired difference lies above -`margin`, FAIL where the model is certainly worse,
    else INCONCLUSIVE; so is a missing difference."""
    if found is None:
        return Verdict.INCONCLUSIVE
    if found.low > -margin:
        return Verdict.PASS
    return Verdict.FAIL if found.high < 0 else Verdict.INCONCLUSIVE


def above(found: Interval | None) -> Verdict:
    """PASS where a paired difference lies above zero with its whole interval, FAIL where below, else INCONCLUSIVE."""
    if found is None or not found.excludes_zero:
        return Verdict.INCONCLUSIVE
    return Verdict.PASS if found.low > 0 else Verdict.FAIL


def _check(one: Array, other: Array, user: Array, weights: Array) -> None:
    if not one.shape == other.shape == user.shape:
        raise NotMeasurable(
            f"a paired comparison needs the same requests; got {one.shape}, {other.shape} and users {user.shape}"
        )
    if weights.shape[1] < 2:
        raise NotMeasurable(f"an interval needs at least 2 users to resample; got {weights.shape[1]}")
