"""Intervals by resampling users, since one user's requests are not independent of each other.

The percentile bootstrap with the user as the unit (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from feature_repo.core.errors import NotMeasurable

Array = np.ndarray[Any, Any]

RESAMPLES = 1000
LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """An estimate with the limits of its interval."""

    value: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        return self.low > 0.0 or self.high < 0.0


def user_weights(users: int, rng: np.random.Generator) -> Array:
    """How often each of `users` is drawn in each resample: [RESAMPLES, users]."""
    return rng.multinomial(users, np.full(users, 1.0 / users), size=RESAMPLES)


def mean_interval(values: Array, user: Array, weights: Array) -> Interval:
    """Mean of `values` [requests] over requests; `user` [requests] numbers the user of each."""
    _check(values)
    sums = np.bincount(user, weights=values, minlength=weights.shape[1])
    counts = np.bincount(user, minlength=weights.shape[1])
    return _interval(float(values.mean()), (weights @ sums) / (weights @ counts))


def mean_intervals(values: Mapping[str, Array], user: Array, weights: Array) -> dict[str, Interval]:
    """`mean_interval` of many `values` [requests] over the same resamples, in one matrix product."""
    if not values:
        return {}
    for found in values.values():
        _check(found)
    users = weights.shape[1]
    sums = np.stack([np.bincount(user, weights=found, minlength=users) for found in values.values()], axis=1)
    drawn = weights.astype(np.float64)
    resampled = (drawn @ sums) / (drawn @ np.bincount(user, minlength=users))[:, None]
    return {
        name: _interval(float(found.mean()), resampled[:, place]) for place, (name, found) in enumerate(values.items())
    }


def coverage_interval(slates: list[list[int]], user: Array, weights: Array, catalogue: int) -> Interval:
    """Share of the catalogue that appears in at least one slate; items are rows of the catalogue.

    A resample holds fewer distinct users than the sample and so covers less: its spread is used, its level is not.
    """
    lengths = [len(s) for s in slates]
    shown = sparse.csr_array(
        (np.ones(sum(lengths)), (np.repeat(user, lengths), np.concatenate(slates).astype(np.int64))),
        shape=(weights.shape[1], catalogue),
    )
    estimate = float((shown.sum(axis=0) > 0).mean())
    # Two hundred resamples are enough for a limit that is shown with three digits, and each costs users x items.
    drawn = sparse.csr_array((weights[:200] > 0).astype(np.float64))
    resampled = ((drawn @ shown) > 0).sum(axis=1) / catalogue
    return _interval(estimate, resampled - resampled.mean() + estimate)


def _check(values: Array) -> None:
    if not len(values) or not np.isfinite(values).all():
        raise NotMeasurable(f"an interval needs finite values of at least one request; got {len(values)} requests")


def _interval(value: float, resampled: Array) -> Interval:
    low, high = np.quantile(resampled, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(value, float(low), float(high))
