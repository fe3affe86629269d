"""The closed world of the A/B benchmarks.

A user comes at some time, asks for 1 + Poisson slates of ten, and clicks an item with a chance of his own (a beta
distribution around 5 %), which the treatment multiplies. So clicks are clustered by user.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from monitoring.experiments.estimates import linearised

Array = np.ndarray[Any, Any]

RUNS, BATCH = 10_000, 100
ALPHA, POWER, LIFT = 0.05, 0.8, 0.15
RATE, CONCENTRATION, REQUESTS, SLATE = 0.05, 20.0, 2.0, 10


@dataclass(frozen=True)
class Group:
    """Clicks and impressions [runs, users, periods] of one variant, and each user's chance of a click."""

    clicks: Array
    shown: Array
    chance: Array


def group(rng: np.random.Generator, *, runs: int, users: int, periods: int = 1, lift: float = 0.0) -> Group:
    chance = rng.beta(RATE * CONCENTRATION, (1 - RATE) * CONCENTRATION, (runs, users, 1))
    arrived = rng.integers(periods, size=(runs, users, 1))
    period = np.arange(periods)
    requests = rng.poisson(REQUESTS / periods * (period >= arrived)) + (period == arrived)
    shown = SLATE * requests
    return Group(rng.binomial(shown, np.minimum(chance * (1 + lift), 1.0)), shown, chance)


def standard_deviation(rng: np.random.Generator, *, periods: int = 1) -> float:
    """Of one user's linearised click rate at the end, from very many users."""
    found = group(rng, runs=1, users=400_000, periods=periods)
    clicks, shown = (of[0].sum(axis=-1).astype(float) for of in (found.clicks, found.shown))
    return float(linearised(clicks, shown).std())


def batches() -> Iterator[int]:
    return iter([BATCH] * (RUNS // BATCH))
