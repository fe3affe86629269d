"""A/B tests where the truth is known: how often they see what is not there, and miss what is."""

from typing import Any

import numpy as np
from scipy.special import ndtr

from bench.monitoring_experiments_peeking import peeking_rows
from bench.monitoring_experiments_users import ALPHA, LIFT, POWER, RATE, RUNS, Group, batches, group, standard_deviation
from bench.monitoring_shares import figure_row, share_row
from bench.rows import Row
from monitoring.experiments.adjustment import cuped
from monitoring.experiments.estimates import Estimate, difference, linearised, mean, ratio
from monitoring.experiments.mismatch import ALPHA as MISMATCH_ALPHA
from monitoring.experiments.mismatch import mismatch_p_value
from monitoring.experiments.sample_size import Spread, users_for
from monitoring.experiments.significance import benjamini_hochberg, chi_squared, mann_whitney, welch

Array = np.ndarray[Any, Any]

WORLD = "closed-form users"
POWER_ROUNDS = 4  # of RUNS: limits a third of a point to each side, of two that are allowed
MISMATCH_RUNS = 1_000_000  # of 10,000 the limits of one in a thousand reach twice of it


def ab_rows(seed: int = 17) -> list[Row]:
    rng = np.random.default_rng(seed)
    spread = Spread.multiplied(standard_deviation(rng), LIFT)
    users, _ = users_for(LIFT * RATE, spread, alpha=ALPHA, power=POWER)
    return [
        *_fixed_rows(rng, users),
        _power_row(np.random.default_rng([seed, 1]), users),
        *peeking_rows(rng),
        _mismatch_row(np.random.default_rng([seed, 2])),
        _discoveries_row(rng),
    ]


def _fixed_rows(rng: np.random.Generator, users: int) -> list[Row]:
    """One look at the planned number of users."""
    equal = dict.fromkeys(("click rate", "by impression", "adjusted", *_TEXTBOOK), 0)
    narrower = []
    for size in batches():
        one, two = (group(rng, runs=size, users=users) for _ in range(2))
        equal["click rate"] += _found(_rates(one, two))
        equal["by impression"] += _found_by_impression(one, two)
        adjusted, left = _adjusted(one, two, rng)
        equal["adjusted"] += _found(adjusted)
        narrower.append(left)
        for name, test in _TEXTBOOK.items():
            pairs = zip(one.clicks[..., 0].astype(float), two.clicks[..., 0].astype(float), strict=True)
            equal[name] += sum(test(*pair) <= ALPHA for pair in pairs)
    within = {"low": ALPHA - 0.01, "high": ALPHA + 0.01}
    naive = ("the same by impression, as if users were not", 100 * equal["by impression"] / RUNS)
    left = float(np.mean(narrower))
    spread = 1.96 * float(np.std(narrower)) / np.sqrt(len(narrower))
    return [
        share_row(f"A/B false alarms, click rate by user, {WORLD}", equal["click rate"], RUNS, **within, beside=naive),
        share_row("A/B false alarms, adjusted by CUPED", equal["adjusted"], RUNS, **within),
        *(share_row(f"A/B false alarms, {name}", equal[name], RUNS, **within) for name in _TEXTBOOK),
        figure_row("A/B variance left by CUPED", 100 * left, (100 * (left - spread), 100 * (left + spread)), unit="%"),
    ]


def _power_row(rng: np.random.Generator, users: int) -> Row:
    better = 0
    for size in [*batches()] * POWER_ROUNDS:
        better += _found(_rates(group(rng, runs=size, users=users, lift=LIFT), group(rng, runs=size, users=users)))
    return share_row(
        f"A/B power at the planned 2 x {users:,} users, lift {LIFT:.0%}",
        better,
        RUNS * POWER_ROUNDS,
        low=POWER - 0.02,
        high=POWER + 0.02,
        beside=("the plan", 100 * POWER),
    )


_TEXTBOOK = {
    "chi-squared of clicking users": lambda one, two: chi_squared((one > 0).astype(float), (two > 0).astype(float)),
    "Welch's t of clicks a user": welch,
    "Mann-Whitney of clicks a user": mann_whitney,
}


def _mismatch_row(rng: np.random.Generator) -> Row:
    dealt, times = np.unique(rng.binomial(2_000, 0.5, MISMATCH_RUNS), return_counts=True)
    alarming = [mismatch_p_value([int(n), 2_000 - int(n)], [0.5, 0.5]) < MISMATCH_ALPHA for n in dealt]
    alarms = int(times[alarming].sum())
    lost = rng.binomial(20_000, 0.5 * 0.95, RUNS)  # one in twenty of a variant's users is lost
    seen = sum(mismatch_p_value([int(n), 10_000], [0.5, 0.5]) < MISMATCH_ALPHA for n in lost)
    found = ("found, where a variant of 10,000 users loses 5 %", 100 * seen / RUNS)
    return share_row("sample ratio mismatch, false alarms", alarms, MISMATCH_RUNS, high=0.002, beside=found)


def _discoveries_row(rng: np.random.Generator) -> Row:
    """Ten metrics of which three moved: runs where a discovery that is drawn at random is a false one."""
    z = rng.normal(0, 1, (RUNS, 10))
    z[:, :3] += 3.0
    false = 0
    for p in 2 * ndtr(-np.abs(z)):
        found = np.flatnonzero(np.array(benjamini_hochberg(p.tolist())) <= ALPHA)
        false += int(len(found) > 0 and rng.choice(found) >= 3)
    return share_row("Benjamini-Hochberg, false discoveries of ten metrics", false, RUNS, high=ALPHA)


def _rates(one: Group, two: Group) -> Estimate:
    return difference(*(ratio(of.clicks[..., 0].astype(float), of.shown[..., 0].astype(float)) for of in (one, two)))


def _adjusted(one: Group, two: Group, rng: np.random.Generator) -> tuple[Estimate, float]:
    """With as many impressions before the experiment as in it."""
    clicks, shown = (np.concatenate(pair, axis=1)[..., 0].astype(float) for pair in _both(one, two))
    chance = np.concatenate([one.chance, two.chance], axis=1)[..., 0]
    before = rng.binomial(shown.astype(int), chance) - RATE * shown
    values = linearised(clicks, shown)
    adjusted = cuped(values, before)
    half = one.clicks.shape[1]
    plain = difference(mean(values[:, :half]), mean(values[:, half:]))
    found = difference(mean(adjusted[:, :half]), mean(adjusted[:, half:]))
    return found, float((found.variance / plain.variance).mean())


def _both(one: Group, two: Group) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    return (one.clicks, two.clicks), (one.shown, two.shown)


def _found(of: Estimate) -> int:
    return int((of.p_value() <= ALPHA).sum())


def _found_by_impression(one: Group, two: Group) -> int:
    """The test of two shares of independent impressions, which these are not."""
    clicks, shown = (np.array([of.sum(axis=(1, 2)) for of in pair]) for pair in _both(one, two))
    pooled = clicks.sum(axis=0) / shown.sum(axis=0)
    gap = np.diff(clicks / shown, axis=0)[0]
    z = gap / np.sqrt(pooled * (1 - pooled) * (1 / shown).sum(axis=0))
    return int((2 * ndtr(-np.abs(z)) <= ALPHA).sum())
