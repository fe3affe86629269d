"""From the runs of one protocol to figures with intervals, and to rows with floors and goals."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from bench.quality_protocols import Aim, Protocol
from bench.quality_run import Run
from bench.rows import Row, within
from training.evaluation.bootstrap import Interval, mean_interval, user_weights
from training.evaluation.compare import MARGIN, difference
from training.static.two_stage import TWO_STAGE

Array = np.ndarray[Any, Any]

EASE, TOWER = "ease", "two-tower"
MEGABYTES = 4_000


@dataclass(frozen=True)
class Contest:
    """Values [seeds, u] of every model and metric, and how often each user is drawn in each resample."""

    values: dict[str, dict[str, Array]]
    weights: Array
    seconds: float
    peak_mb: float

    @classmethod
    def of(cls, runs: Sequence[Run], *, rng: np.random.Generator) -> Self:
        values = {
            model: {name: np.stack([run.values[model][name] for run in runs]) for name in metrics}
            for model, metrics in runs[0].values.items()
        }
        users = values[TWO_STAGE]["ndcg"].shape[1]
        longest, highest = max(run.seconds for run in runs), max(run.peak_mb for run in runs)
        return cls(values, user_weights(users, rng), longest, highest)

    def mean(self, model: str, metric: str) -> Interval:
        found = self.values[model][metric].mean(axis=0)
        return mean_interval(found, np.arange(len(found)), self.weights)

    def gap(self, model: str, other: str, metric: str) -> Interval:
        """Paired: the mean of `model` minus that of `other`."""
        one, base = self.values[model][metric], self.values[other][metric]
        return difference(one, base, np.arange(one.shape[1]), self.weights)


def rows_of(protocol: Protocol, split: str, contest: Contest) -> list[Row]:
    """Figures of all models first, then what has to hold."""
    rows = []
    for aim in protocol.aims:
        rows += [_figure(protocol, split, contest, model, aim.metric) for model in contest.values]
    for place, aim in enumerate(protocol.aims):
        rows.append(_floor(protocol, split, contest, aim.metric, certain=place == 0))
        rows.append(_not_below_any(protocol, split, contest, aim.metric))
        rows.append(_goal(protocol, split, contest, TWO_STAGE, aim, aim.goal, "goal"))
        if aim.tower_floor is not None and aim.tower_goal is not None and TOWER in contest.values:
            rows.append(_goal(protocol, split, contest, TOWER, aim, aim.tower_floor, "two-tower floor"))
            rows.append(_goal(protocol, split, contest, TOWER, aim, aim.tower_goal, "two-tower goal"))
    if protocol.most_seconds is not None:
        name, beside = f"{protocol.name} {split}, two-stage end to end", ("the longest of the seeds", contest.seconds)
        rows.append(within("quality", name, contest.seconds, unit="s", yardstick=beside, limit=protocol.most_seconds))
        beside = ("the highest of the seeds", contest.peak_mb)
        rows.append(within("quality", f"{name}, peak", contest.peak_mb, unit="MB", yardstick=beside, limit=MEGABYTES))
    return rows


def _name(protocol: Protocol, split: str, metric: str, what: str) -> str:
    return f"{protocol.name} {split}, {metric}@{protocol.k}: {what}"


def _row(name: str, value: float, beside: tuple[str, float], bound: str, *, holds: bool) -> Row:
    return Row("quality", name, value, "", *beside, bound, bool(holds))


def _figure(protocol: Protocol, split: str, contest: Contest, model: str, metric: str) -> Row:
    found, ease = contest.mean(model, metric), contest.mean(EASE, metric).value
    interval = f"95 %: {found.low:.4f} to {found.high:.4f}"
    return _row(_name(protocol, split, metric, model), found.value, (EASE, ease), interval, holds=True)


def _floor(protocol: Protocol, split: str, contest: Contest, metric: str, *, certain: bool) -> Row:
    """Above EASE, with certainty in the first aim; or not below it."""
    gap, found = contest.gap(TWO_STAGE, EASE, metric), contest.mean(TWO_STAGE, metric)
    if not protocol.above:
        bound, holds = f"lower limit {gap.low:+.4f} > -{MARGIN}", gap.low > -MARGIN
    elif certain:
        bound, holds = f"lower limit {gap.low:+.4f} > 0", gap.low > 0
    else:
        bound, holds = f"difference {gap.value:+.4f} > 0", gap.value > 0
    ease = contest.mean(EASE, metric).value
    return _row(_name(protocol, split, metric, "two-stage floor"), found.value, (EASE, ease), bound, holds=holds)


def _not_below_any(protocol: Protocol, split: str, contest: Contest, metric: str) -> Row:
    """Against whichever model it is closest to, so that none has to be chosen."""
    gaps = {model: contest.gap(TWO_STAGE, model, metric) for model in contest.values if model != TWO_STAGE}
    model = min(gaps, key=lambda name: gaps[name].low)
    found, beside = contest.mean(TWO_STAGE, metric).value, (model, contest.mean(model, metric).value)
    bound = f"lower limit {gaps[model].low:+.4f} > -{MARGIN}"
    name = _name(protocol, split, metric, "two-stage against every other")
    return _row(name, found, beside, bound, holds=gaps[model].low > -MARGIN)


def _goal(protocol: Protocol, split: str, contest: Contest, model: str, aim: Aim, figure: float, what: str) -> Row:
    """On the test the figure itself; on validation what it is relative to EASE."""
    found, ease = contest.mean(model, aim.metric).value, contest.mean(EASE, aim.metric).value
    name = _name(protocol, split, aim.metric, what)
    if split == "test":
        return _row(name, found, ("figure to reach", figure), f">= {figure:.4f}", holds=found >= figure)
    ratio = figure / aim.ease
    return _row(name, found, (EASE, ease), f"ratio >= {ratio:.4f}", holds=found >= ratio * ease)
