"""Simulated traffic of a release: requests, failures, latencies, and clicks clustered by user.

A small beta-binomial model of its own, since 2,000 releases of a million requests each must fit into minutes: a user
comes for 1 + Poisson(2) requests of ten impressions within one look and clicks each with the user's own chance, drawn
from a beta distribution whose standard deviation is 0.7 of its mean. Sums over users are sums over random stretches of
a million users that were drawn once for each click rate.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from scipy.stats import lognorm

Array = np.ndarray[Any, Any]

REQUESTS_PER_SECOND = 500
TICK_SECONDS = 10.0
SLATE = 10
REQUESTS_PER_USER = 3.0
SPREAD = 0.7  # standard deviation of a user's click chance, as a share of its mean
BANK_USERS = 1_000_000
# The service's own buckets.
BOUNDS_MS = (1.0, 2.0, 3.0, 4.0, 5.0, 6.5, 8.0, 10.0, 12.5, 15.0, 20.0, 30.0, 50.0, 100.0, 250.0, 500.0, np.inf)
MEDIAN_MS, LOG_SPREAD = 4.0, 0.35  # lognormal: p50 4 ms, p99 9 ms


@dataclass(frozen=True)
class Behaviour:
    """What is true of one variant."""

    click_rate: float = 0.05  # an impression
    error_share: float = 0.001
    degraded_share: float = 0.002
    slower: float = 1.0  # every latency times this
    silent: bool = False  # it serves, and nobody hears of it: no metrics, no log


@dataclass(frozen=True)
class Traffic:
    """Looks in a row at one weight, of one variant, each what that look adds."""

    counts: Array  # [looks, 4]: users, requests, errors, degraded
    latencies: Array  # [looks, bounds]
    # [looks, 8]: the fields of RateSums, every impression with the weight that its step gives it
    rates: Array


def draw(behaviour: Behaviour, share: float, looks: int, rng: np.random.Generator) -> Traffic:
    """Traffic of a variant that gets this share of all users."""
    users = rng.poisson(REQUESTS_PER_SECOND * TICK_SECONDS * share / REQUESTS_PER_USER, looks)
    bank = _bank(behaviour.click_rate)
    first = rng.integers(0, BANK_USERS - users)
    clicks, shown, *squares = (bank[first + users] - bank[first]).T
    requests = (shown / SLATE).astype(np.int64)
    failed = (rng.binomial(requests, share_of) for share_of in (behaviour.error_share, behaviour.degraded_share))
    weight = 1 - share
    weighted = (weight * clicks, weight * shown, *(weight * weight * square for square in squares))
    return Traffic(
        counts=np.stack([users, requests, *failed], axis=1),
        latencies=rng.multinomial(requests, _buckets(behaviour.slower)),
        rates=np.stack([users, shown, clicks, *weighted], axis=1),
    )


@cache
def _bank(click_rate: float) -> Array:
    """Running sums over the bank's users: [users + 1, 5]."""
    rng = np.random.default_rng(int(1_000_000 * click_rate))
    chance = click_rate, (1 - click_rate) / (click_rate * SPREAD**2) - 1
    own = rng.beta(chance[0] * chance[1], (1 - chance[0]) * chance[1], BANK_USERS)
    shown = SLATE * (1 + rng.poisson(REQUESTS_PER_USER - 1, BANK_USERS))
    clicks = rng.binomial(shown, own).astype(float)
    columns = np.stack([clicks, shown, clicks * clicks, clicks * shown, shown * shown], axis=1)
    return np.concatenate([np.zeros((1, 5)), columns.cumsum(axis=0)])


@cache
def _buckets(slower: float) -> Array:
    """The share of requests in each bucket."""
    reached = lognorm.cdf(np.asarray(BOUNDS_MS) / slower, LOG_SPREAD, scale=MEDIAN_MS)
    shares: Array = np.diff(reached, prepend=0.0)
    return shares / shares.sum()
