"""An A/B test that is read again and again while users come and come back, and stopped as soon as it is decided."""

from typing import Any

import numpy as np

from bench.monitoring_experiments_users import ALPHA, LIFT, POWER, RATE, RUNS, Group, batches, group, standard_deviation
from bench.monitoring_shares import figure_row, share_row
from bench.rows import Row
from monitoring.experiments.estimates import difference, ratio
from monitoring.experiments.sample_size import Spread, users_for, users_for_sequential
from monitoring.experiments.sequential import half_width, mixture_variance, planned_variance

Array = np.ndarray[Any, Any]

LOOKS = 10


def peeking_rows(rng: np.random.Generator) -> list[Row]:
    """A look after every period, while users come and come back; stopped at the first interval without zero."""
    spread = Spread.multiplied(standard_deviation(rng, periods=LOOKS), LIFT)
    planned = planned_variance(LIFT, alpha=ALPHA, power=POWER)
    mixture = mixture_variance(planned, alpha=ALPHA)
    fixed, _ = users_for(LIFT * RATE, spread, alpha=ALPHA, power=POWER)
    users, _ = users_for_sequential(LIFT * RATE, spread, alpha=ALPHA, power=POWER)
    stopped = {"always": 0, "naive": 0, "better": 0}
    at = []
    for size in batches():
        one, two = (group(rng, runs=size, users=users, periods=LOOKS) for _ in range(2))
        outside, naive = _looks(one, two, mixture)
        stopped["always"] += int(outside.any(axis=0).sum())
        stopped["naive"] += int(naive.any(axis=0).sum())
        outside, _ = _looks(group(rng, runs=size, users=users, periods=LOOKS, lift=LIFT), two, mixture)
        stopped["better"] += int(outside.any(axis=0).sum())
        at += (outside.argmax(axis=0)[outside.any(axis=0)] + 1).tolist()
    shares = np.quantile(at, [0.5, 0.25, 0.75]) / LOOKS * 100
    return [
        share_row(
            f"A/B false alarms, always-valid intervals read {LOOKS} times", stopped["always"], RUNS, high=ALPHA,
            beside=("fixed intervals read as often", 100 * stopped["naive"] / RUNS),
        ),
        share_row(
            f"A/B power, always-valid, by 2 x {users:,} users (read once: 2 x {fixed:,})", stopped["better"], RUNS,
            low=POWER - 0.02, beside=("the plan", 100 * POWER),
        ),
        figure_row("A/B time used until stopped, always-valid, median (quartiles)", shares[0],
                   (shares[1], shares[2]), unit="%"),
    ]  # fmt: skip


def _looks(one: Group, two: Group, mixture: float) -> tuple[Array, Array]:
    """Whether zero is outside the always-valid and the fixed interval of the difference: [looks, runs] each."""
    always, fixed = [], []
    clicks, shown = ([of.cumsum(axis=-1) for of in pair] for pair in ((one.clicks, two.clicks), (one.shown, two.shown)))
    for look in range(LOOKS):
        sums = [(c[..., look].astype(float), s[..., look].astype(float)) for c, s in zip(clicks, shown, strict=True)]
        treatment, control = (ratio(*pair) for pair in sums)
        gap = difference(treatment, control).over(control.value)
        always.append(np.abs(gap.value) > half_width(gap.variance, mixture=mixture, alpha=ALPHA))
        fixed.append(gap.p_value() <= ALPHA)
    return np.array(always), np.array(fixed)
