"""How many impressions interleaving saves over an A/B test for the same decision, in the simulator's world.

The effect is set to what an A/B test needs a given number of impressions for, with a chance of 80 % at a level of 5 %.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import ndtri

from bench.monitoring_experiments_rankers import (
    ALPHA,
    POWER,
    Asked,
    K,
    Moments,
    ab_impressions,
    ab_moments,
    ask,
    better_by,
    interleaved_moments,
    interleaving_impressions,
)
from bench.monitoring_shares import BENCH, share_row
from bench.rows import Row
from monitoring.experiments.estimates import ratio
from monitoring.experiments.interleaving.optimised import Mixture, optimised

Array = np.ndarray[Any, Any]

RUNS = 10_000
IMPRESSIONS = (25_000, 100_000, 400_000)  # that the A/B test needs
DECIDES, SAVING = 100_000, 5.0
RESAMPLES = 1_000
REPETITIONS = 1_000  # of each request, that runs are drawn from


def interleaving_rows(seed: int = 29) -> list[Row]:
    rng = np.random.default_rng(seed)
    asked = ask(rng, seed)
    return [row for needed in IMPRESSIONS for row in _rows_at(asked, needed, rng)]


def _rows_at(asked: Asked, needed: int, rng: np.random.Generator) -> list[Row]:
    one, two = asked.slates(better_by(asked, needed))
    mixtures = [optimised(a, b, k=K) for a, b in zip(one.tolist(), two.tolist(), strict=True)]
    control, treatment = ab_moments(asked, one), ab_moments(asked, two)
    mixed = interleaved_moments(asked, mixtures)
    ab, interleaved = ab_impressions(control, treatment), interleaving_impressions(mixed)
    saving = ab / interleaved
    low, high = _limits(control, treatment, mixed, rng)
    lift = treatment.one()[0] / control.one()[0] - 1
    same = np.mean([len(set(a) & set(b)) for a, b in zip(one.tolist(), two.tolist(), strict=True)]) / K
    told = (
        f"interleaving's saving where A/B needs {needed:,} impressions: lift {lift:+.1%}, click rate "
        f"{control.one()[0] / K:.1%}, {same:.0%} of the slates the same ({low:.1f} to {high:.1f})"
    )
    asked_for = needed == DECIDES
    bound = f">= {SAVING:g}" if asked_for else ""
    row = Row(BENCH, told, saving, "x", "impressions interleaved", interleaved, bound, not asked_for or low >= SAVING)
    return [row, *(_power_rows(asked, mixtures, mixed, rng) if asked_for else [])]


def _limits(control: Moments, treatment: Moments, mixed: Moments, rng: np.random.Generator) -> tuple[float, float]:
    """95 % limits of the saving by resampling users; resamples in which the effect is not there save without limit."""
    savings = []
    for _ in range(RESAMPLES):
        users = rng.integers(len(mixed.mean), size=len(mixed.mean))
        one, two, both = (of.drawn(users) for of in (control, treatment, mixed))
        (base, base_variance), (value, variance), (credit, credit_variance) = one.one(), two.one(), both.one()
        # Users of both variants, two for each one of an arm.
        of_ab = 2 * (base_variance + variance) / (value - base) ** 2
        savings.append(of_ab / (credit_variance / credit**2))
    low, high = np.quantile(savings, [0.025, 0.975])
    return float(low), float(high)


def _power_rows(asked: Asked, mixtures: Sequence[Mixture], mixed: Moments, rng: np.random.Generator) -> list[Row]:
    """Runs of the credit test with the planned users, of real draws; and with users who click at random."""
    value, variance = mixed.one()
    users = int(np.ceil((ndtri(1 - ALPHA / 2) + ndtri(POWER)) ** 2 * variance / value**2))
    found = _decided(_sampled(asked, mixtures, rng, at_random=False), asked.user, users, rng)
    false = _decided(_sampled(asked, mixtures, rng, at_random=True), asked.user, users, rng)
    return [
        share_row(f"interleaving's power with the planned {users:,} users", found, RUNS, low=POWER - 0.02,
                  beside=("the plan", 100 * POWER)),
        share_row("interleaving's false preferences, users who click at random", false, RUNS, high=ALPHA + 0.01,
                  beside=("alpha", 100 * ALPHA)),
    ]  # fmt: skip


def _sampled(asked: Asked, mixtures: Sequence[Mixture], rng: np.random.Generator, *, at_random: bool) -> Array:
    """Credits of many repetitions of every request: [REPETITIONS, r]."""
    found = np.zeros((REPETITIONS, len(mixtures)))
    for place, mixture in enumerate(mixtures):
        slate = rng.choice(len(mixture.probabilities), p=mixture.probabilities, size=REPETITIONS)
        chance = asked.curve * asked.chance[place][np.array(mixture.names, int)[mixture.slates[slate]]]
        if at_random:
            chance = np.broadcast_to(asked.curve * asked.chance[place].mean(), chance.shape)
        found[:, place] = (mixture.credit[slate] * (rng.random(chance.shape) < chance)).sum(axis=1)
    return found


def _decided(credit: Array, user: Array, users: int, rng: np.random.Generator) -> int:
    """In how many runs the interval of the mean credit of `users` drawn users is beside zero."""
    above = np.stack([np.bincount(user, weights=row) for row in credit])
    below = np.broadcast_to(np.bincount(user).astype(float), above.shape)
    decided = 0
    for _ in range(RUNS // 100):
        drawn = rng.integers(above.size, size=(100, users))
        decided += int((ratio(above.ravel()[drawn], below.ravel()[drawn]).p_value() <= ALPHA).sum())
    return decided
