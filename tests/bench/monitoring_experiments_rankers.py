"""Two versions of a ranker in the simulator's world, and the exact moments of both ways to compare them.

They order 100 items a request by their true appeal plus an error. The newer version's error is smaller, and a part of
it is new, as after training again; so the slates overlap as those of two versions do. Clicks are the simulator's, whose
chances are known: the moments are sums over users and not sampled.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtri

from monitoring.experiments.interleaving.optimised import Mixture
from monitoring.experiments.sample_size import Spread, users_for
from monitoring.simulator.make import make_world
from monitoring.simulator.settings import SimulatorSettings
from monitoring.simulator.truth import attraction, examination, logits

Array = np.ndarray[Any, Any]

ALPHA, POWER = 0.05, 0.8
K, CANDIDATES, USERS, REQUESTS, DAY = 10, 100, 300, 2.0, 30.0
ERROR, NEW_ERROR = 1.0, 0.3  # standard deviation, in logits, of the older ranker's error; share of it that is new


@dataclass(frozen=True)
class Asked:
    """Requests [r] of users with 100 candidates each: true logits and chances of a click, and two draws of error."""

    user: Array
    logit: Array
    chance: Array
    error: Array
    other: Array
    curve: Array  # [K], how likely a place is looked at

    def slates(self, better: float) -> tuple[Array, Array]:
        """The older ranker's best candidates [r, K] and those of the newer one, whose error is smaller by `better`."""
        new = np.sqrt(1 - NEW_ERROR**2) * self.error + NEW_ERROR * self.other
        scores = (self.logit + ERROR * self.error, self.logit + (1 - better) * ERROR * new)
        one, two = (np.argsort(-of, axis=1)[:, :K] for of in scores)
        return one, two

    def clicks(self, slates: Array) -> Array:
        """Chances of a click [r, K]."""
        return np.asarray(self.curve * np.take_along_axis(self.chance, slates, axis=1))


@dataclass(frozen=True)
class Moments:
    """A user's expected sum and its variance given the user [u], and how often the user asked [u]."""

    mean: Array
    variance: Array
    requests: Array

    def one(self) -> tuple[float, float]:
        """The value a request, and the variance of one user's part of it (the delta method)."""
        value = self.mean.sum() / self.requests.sum()
        residual = self.variance + np.square(self.mean - value * self.requests)
        return float(value), float(residual.mean() / np.square(self.requests.mean()))

    def drawn(self, users: Array) -> "Moments":
        return Moments(self.mean[users], self.variance[users], self.requests[users])


def ask(rng: np.random.Generator, seed: int) -> Asked:
    """With a base rate at which the older ranker's slates are clicked about 5 % an impression."""
    world = make_world(SimulatorSettings(base_click_rate=0.02), seed=seed)
    user = np.repeat(np.arange(USERS), 1 + rng.poisson(REQUESTS, USERS))
    there = np.flatnonzero(world.items.birth <= DAY)
    items = there[np.argsort(rng.random((len(user), len(there))), axis=1)[:, :CANDIDATES]]
    who, days = rng.integers(len(world.people.taste), size=USERS)[user], np.full(len(user), DAY)
    draws = rng.normal(size=(2, *items.shape))
    return Asked(
        user,
        logits(world, who, items, days),
        attraction(world, who, items, days),
        *draws,
        examination(world.settings, K),
    )


def ab_moments(asked: Asked, slates: Array) -> Moments:
    chance = asked.clicks(slates)
    return _moments(asked, chance.sum(axis=1), (chance * (1 - chance)).sum(axis=1))


def ab_impressions(control: Moments, treatment: Moments) -> float:
    """Of both variants together."""
    (base, base_variance), (value, variance) = control.one(), treatment.one()
    spread = Spread(float(np.sqrt(base_variance)), float(np.sqrt(variance)))
    users = sum(users_for(value - base, spread, alpha=ALPHA, power=POWER))
    return float(users * control.requests.mean() * K)


def interleaved_moments(asked: Asked, mixtures: Sequence[Mixture]) -> Moments:
    mean, variance = np.zeros(len(mixtures)), np.zeros(len(mixtures))
    for place, mixture in enumerate(mixtures):
        chance = asked.curve * asked.chance[place][np.array(mixture.names, int)[mixture.slates]]
        expected = (mixture.credit * chance).sum(axis=1)
        within = (np.square(mixture.credit) * chance * (1 - chance)).sum(axis=1)
        mean[place] = mixture.probabilities @ expected
        variance[place] = mixture.probabilities @ (within + np.square(expected)) - mean[place] ** 2
    return _moments(asked, mean, variance)


def interleaving_impressions(of: Moments) -> float:
    value, variance = of.one()
    return float((ndtri(1 - ALPHA / 2) + ndtri(POWER)) ** 2 * variance / value**2 * of.requests.mean() * K)


def better_by(asked: Asked, impressions: float) -> float:
    """By how much smaller the newer ranker's error is where an A/B test needs this many impressions."""

    def short(better: float) -> float:
        one, two = asked.slates(better)
        control, treatment = ab_moments(asked, one), ab_moments(asked, two)
        if treatment.one()[0] <= control.one()[0]:
            return 1.0
        return float(np.log(ab_impressions(control, treatment) / impressions))

    return float(brentq(short, 0.0, 0.95, xtol=1e-3))


def _moments(asked: Asked, mean: Array, variance: Array) -> Moments:
    return Moments(*(np.bincount(asked.user, weights=of) for of in (mean, variance)), np.bincount(asked.user))
