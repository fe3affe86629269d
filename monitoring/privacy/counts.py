"""Counts that may be published: how many people met each item, with noise that hides whether any one person is in.

Each person counts for at most `contributions` items, once each, so one person more or less changes the counts by at
most that much in L1. Discrete Laplace noise of scale contributions / epsilon on every count then makes the release
epsilon-differentially private for whole people (Dwork et al. 2006; the discrete form is Ghosh et al. 2009). The noise
is OpenDP's, which draws exactly, where floating point would leak. Nothing else may depend on people: neither the list
of items, since an item that only shows up with its first person would give that person away, nor the span of time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from feature_repo.core.errors import SettingsRefused

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Mechanism:
    """Discrete Laplace noise of `scale`; `epsilon` is what OpenDP proves for people with so many `contributions`."""

    epsilon: float
    contributions: int
    scale: float


def mechanism(epsilon: float, contributions: int) -> Mechanism:
    """The noise for a release of `epsilon`.

    Raises:
        SettingsRefused: one of them is not above 0.
    """
    if not (epsilon > 0 and np.isfinite(epsilon)) or contributions < 1:
        raise SettingsRefused(
            f"a private release needs an epsilon above 0 and at least 1 contribution; got {epsilon} and {contributions}"
        )
    scale = contributions / epsilon
    proved = float(_laplace(scale).map(contributions))
    if proved > epsilon * (1 + 1e-6):  # rounding of a floating-point division, upwards
        raise SettingsRefused(f"noise of scale {scale} costs epsilon {proved}; {epsilon} was asked for")
    return Mechanism(epsilon, contributions, scale)


def bounded_counts(user_ids: Array, item_ids: Array, items: Sequence[str], contributions: int) -> Array:
    """People of each of `items` [m], int64; of each person the last `contributions` distinct items count.

    user_ids and item_ids [n] are events in order of time; items outside the list count nowhere.
    """
    place = {item: number for number, item in enumerate(items)}
    of_user: dict[str, dict[int, None]] = {}
    for user, item in zip(user_ids[::-1].tolist(), item_ids[::-1].tolist(), strict=True):
        met = of_user.setdefault(user, {})
        number = place.get(item)
        if number is not None and len(met) < contributions:
            met[number] = None
    counts = np.zeros(len(items), np.int64)
    for met in of_user.values():
        counts[list(met)] += 1
    return counts


def noisy(counts: Array, how: Mechanism) -> Array:
    """The counts [m] with noise; whole numbers, some of them below 0."""
    return np.array(_laplace(how.scale)(counts.tolist()), np.int64)


def within(how: Mechanism, *, confidence: float = 0.95) -> float:
    """How far from its count a published one is at most, with this confidence for each."""
    import opendp.prelude as dp

    return float(dp.discrete_laplacian_scale_to_accuracy(scale=how.scale, alpha=1 - confidence))


def _laplace(scale: float) -> Any:
    import opendp.prelude as dp

    dp.enable_features("contrib")
    return dp.m.make_laplace(dp.vector_domain(dp.atom_domain(T="i64")), dp.l1_distance(T="i64"), scale=scale)
