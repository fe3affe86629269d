"""Intervals of many figures at once, by resampling users: each alone, and all of them together.

One user's requests are not independent, so users are drawn and not requests (Davison and Hinkley, "Bootstrap Methods
and their Application", 1997, section 3.8). Limits that hold for all figures together come from the largest of their
studentised deviations in each resample (the max-T of Westfall and Young, "Resampling-Based Multiple Testing", 1993):
figures of overlapping groups move together, and it knows by how much where Bonferroni does not.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from feature_repo.core.errors import NotMeasurable

Array = np.ndarray[Any, Any]

LEVEL = 0.95
AT_ONCE = 50  # resamples: bounds the memory at AT_ONCE x users

# Weights [n, users] to figures [n, f].
Estimator = Callable[[Array], Array]


@dataclass(frozen=True)
class Limits:
    """A figure with its 95 % limits, and those that hold for all judged figures together."""

    value: float
    low: float
    high: float
    joint_low: float
    joint_high: float


@dataclass(frozen=True)
class Ratio:
    """A figure that is a sum over users by another one: both [users]. A mean of requests is one."""

    numerator: Array
    denominator: Array


def mean_of(values: Array, user: Array, users: int, *, chosen: Array | None = None) -> Ratio:
    """The mean of `values` [r] over the requests that are `chosen` [r] and known; `user` [r] numbers who asked."""
    kept = ~np.isnan(values) if chosen is None else chosen & ~np.isnan(values)
    return Ratio(
        np.bincount(user[kept], weights=values[kept], minlength=users), np.bincount(user[kept], minlength=users)
    )


def ratios(figures: Sequence[Ratio]) -> Estimator:
    """All figures of any weighting of the users, NaN where nobody who was drawn has one."""
    above = np.stack([figure.numerator for figure in figures], axis=1)
    below = np.stack([figure.denominator for figure in figures], axis=1).astype(np.float64)

    def estimate(weights: Array) -> Array:
        drawn = weights.astype(np.float64)
        sums, counts = drawn @ above, drawn @ below
        found: Array = np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
        return found

    return estimate


def resampled(
    estimators: Sequence[Estimator], users: int, *, resamples: int, rng: np.random.Generator
) -> tuple[Array, Array]:
    """The figures of all estimators side by side: as they are [f], and in every resample [resamples, f]."""
    if users < 2:
        raise NotMeasurable(f"an interval needs at least 2 users to resample; got {users}")

    def all_of(weights: Array) -> Array:
        return np.concatenate([estimate(weights) for estimate in estimators], axis=1)

    even = np.full(users, 1.0 / users)
    parts = [min(AT_ONCE, resamples - first) for first in range(0, resamples, AT_ONCE)]
    replicates = np.concatenate([all_of(rng.multinomial(users, even, size=size)) for size in parts])
    return all_of(np.ones((1, users)))[0], replicates


def limits(values: Array, replicates: Array) -> list[Limits]:
    """Limits of figures [f] from their `replicates` [resamples, f].

    Replicates are centred on the figure: a resample holds fewer distinct users, so what depends on their number, such
    as a Gini index, has the right spread in it and the wrong level.
    """
    known = np.where(np.isnan(replicates), values, replicates)
    moved = known - known.mean(axis=0)
    spread = moved.std(axis=0, ddof=1)
    deviations = np.divide(np.abs(moved), spread, out=np.zeros(moved.shape), where=spread > 0)
    joint = float(np.quantile(deviations.max(axis=1), LEVEL))
    low, high = np.quantile(moved, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return [
        Limits(float(v), float(v + below), float(v + above), float(v - joint * s), float(v + joint * s))
        for v, below, above, s in zip(values, low, high, spread, strict=True)
    ]
