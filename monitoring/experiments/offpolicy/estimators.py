"""Estimators of the clicks a request would have got under another policy.

Arrays are [..., r, k]: requests and places. `weights` is the target's probability of the shown item at its place over
the logged propensity, 1 at a place that a short slate does not have; `rewards` is 1 for a click. Places are drawn
independently of each other, as serving/rerank does it, so the weight of a whole slate is the product of its places'.

Each estimator says in a sentence what it takes for granted. Those over places need fewer requests than the whole
slate's, and are wrong where their sentence is.

Horvitz and Thompson (1952), JASA 47 (ips); Swaminathan and Joachims (2015), NeurIPS (snips); Ionides (2008), JCGS 17
(clipped); Dudik, Langford and Li (2011), ICML (doubly robust); Li et al. (2018), KDD (position); McInerney et al.
(2020), KDD (reward interaction); Swaminathan et al. (2017), NeurIPS (pseudo-inverse), which for places that are drawn
independently is 1 + sum (w - 1): Vlassis et al. (2021), NeurIPS.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from monitoring.experiments.estimates import Estimate, ratio

Array = np.ndarray[Any, Any]

CLIP = 10.0  # the largest weight of a whole slate that `clipped` lets through
TAKEN_FOR_GRANTED = {
    "ips": "nothing but the propensities",
    "snips": "nothing but the propensities; a bias that falls as 1 / requests",
    "clipped": f"that no slate has a weight above {CLIP:g}; low by what those earn",
    "doubly robust": "the propensities; the model of clicks only narrows the interval",
    "position": "that a click depends on the item and its place alone",
    "reward interaction": "that a click depends on the items down to its place alone",
    "pseudo-inverse": "that the clicks on a slate are a sum over its places",
}


@dataclass(frozen=True)
class Logged:
    """`user` [r] numbers users from 0. `shown` and `expected` are a model's clicks: of the item that was shown, and
    of what the target shows, at each place [..., r, k]; zero without a model."""

    weights: Array
    rewards: Array
    user: Array
    shown: Array
    expected: Array


@dataclass(frozen=True)
class Value:
    """Clicks a request. `effective` is Kish's effective number of requests, (sum w)^2 / sum w^2."""

    estimate: Estimate
    effective: Array


def estimate(name: str, logged: Logged) -> Value:
    """The value by the estimator `name` of TAKEN_FOR_GRANTED, its variance clustered by user."""
    slate = logged.weights.prod(axis=-1)
    clicks = logged.rewards.sum(axis=-1)
    if name == "snips":
        return Value(_of_users(slate * clicks, slate, logged.user), effective_requests(slate))
    gained, weight = _gained(name, logged, slate, clicks)
    return Value(_of_users(gained, np.ones_like(gained), logged.user), effective_requests(weight))


def _gained(name: str, logged: Logged, slate: Array, clicks: Array) -> tuple[Array, Array]:
    """What each request contributes [..., r], and the weights that its effective number is about."""
    if name == "ips":
        return slate * clicks, slate
    if name == "clipped":
        capped = np.minimum(slate, CLIP)
        return capped * clicks, capped
    if name == "doubly robust":
        modelled = logged.shown.sum(axis=-1)
        return logged.expected.sum(axis=-1) + slate * (clicks - modelled), slate
    if name == "position":
        # The places' own weights; the effective number is that of the place with the fewest.
        worst = np.square(logged.weights).sum(axis=-2).argmax(axis=-1)
        place = np.take_along_axis(logged.weights, worst[..., None, None], axis=-1)[..., 0]
        return (logged.weights * logged.rewards).sum(axis=-1), place
    if name == "reward interaction":
        return (logged.weights.cumprod(axis=-1) * logged.rewards).sum(axis=-1), slate
    if name == "pseudo-inverse":
        linear = 1 + (logged.weights - 1).sum(axis=-1)
        return linear * clicks, linear
    raise KeyError(name)


def effective_requests(weights: Array) -> Array:
    """Kish's effective number of `weights` [..., r]: 0 where all are 0."""
    squares = np.square(weights).sum(axis=-1)
    total = np.square(weights.sum(axis=-1))
    return np.asarray(np.divide(total, squares, out=np.zeros_like(squares, dtype=np.float64), where=squares > 0))


def mean_weight(logged: Logged) -> Estimate:
    """Of whole slates; its expectation is 1 where the log shows everything that the target does."""
    slate = logged.weights.prod(axis=-1)
    return _of_users(slate, np.ones_like(slate), logged.user)


def _of_users(above: Array, below: Array, user: Array) -> Estimate:
    return ratio(sum_by_user(above, user), sum_by_user(below, user))


def sum_by_user(values: Array, user: Array) -> Array:
    """[..., r] to [..., users]."""
    order = np.argsort(user, kind="stable")
    starts = np.flatnonzero(np.diff(user[order], prepend=-1))
    return np.asarray(np.add.reduceat(values[..., order], starts, axis=-1))
