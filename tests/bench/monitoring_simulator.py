"""The simulator: a million events, whether its truth is true, windows, clicks, and popularity feedback."""

import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np
from scipy.stats import binomtest

from bench.contender import run_contender
from bench.rows import Row, at_most, not_measured, within
from feature_repo.core.errors import MissingArtifact
from feature_repo.core.workspace import Workspace
from monitoring.audience.audience import Audience
from monitoring.simulator.feedback import feedback_loop
from monitoring.simulator.make import make_world
from monitoring.simulator.settings import SimulatorSettings
from monitoring.simulator.truth import click_probabilities, draw_clicks, true_click_rate
from monitoring.simulator.windows import windows
from monitoring.simulator.world import World

BENCH = "monitoring"
MODULE = "bench.monitoring_simulator_contender"
EVENTS, SECONDS = 1_000_000, 20
LOGS, SLATES, SEED = 4_000, 400, 1
WINDOWS, REQUESTS = 30, 500


def rows(workspace: Workspace) -> list[Row]:
    world = make_world(SimulatorSettings(), seed=SEED)
    return [*_million(), _truth(world), _windows(world), *_clicks(workspace), *_feedback(world)]


def _million() -> list[Row]:
    """Time and peak memory of a million events as a data set, beside sorting and writing them again."""
    with tempfile.TemporaryDirectory() as folder:
        ours, copy = (run_contender(MODULE, kind, str(EVENTS), folder) for kind in ("ours", "copy"))
    if isinstance(ours, str) or isinstance(copy, str):
        return [not_measured(BENCH, "simulated log", f"failed: {ours if isinstance(ours, str) else copy}")]
    name, beside = f"simulated log, {ours.rows:,} events", "the same events sorted and written by DuckDB"
    if ours.rows != EVENTS:
        return [not_measured(BENCH, name, f"{EVENTS:,} events were asked for")]
    return [
        within(BENCH, name, ours.seconds, unit="s", yardstick=(beside, copy.seconds), limit=SECONDS),
        within(BENCH, f"{name}, peak", ours.peak_mb, unit="MB", yardstick=(beside, copy.peak_mb), limit=4_000),
    ]


def _truth(world: World) -> Row:
    """How many 95 % intervals of drawn clicks miss the closed form: 5 % has to lie within the limits of that share."""
    rng = np.random.default_rng(SEED)
    missed = 0
    for _ in range(LOGS):
        users = rng.integers(world.settings.users, size=SLATES)
        slates = rng.integers(world.settings.items, size=(SLATES, world.settings.slate))
        chances = click_probabilities(world, users, slates, day=30.0)
        # Clicks are whole numbers, for which no interval misses exactly 5 %: spread over their unit they are as good as
        # normal. The variance is that of independent draws with unlike chances, and of the spreading.
        clicks = draw_clicks(chances, rng).sum() + rng.uniform(-0.5, 0.5)
        half = 1.959964 * np.sqrt((chances * (1 - chances)).sum() + 1 / 12)
        missed += bool(abs(clicks - true_click_rate(world, slates, users, 30.0) * chances.size) > half)
    limits = binomtest(missed, LOGS).proportion_ci(0.95, "exact")
    name = f"logs of {SLATES} slates whose 95 % interval misses the true click rate, of {LOGS:,}"
    bound = f"limits {100 * limits.low:.2f} to {100 * limits.high:.2f} % hold 5 %"
    holds = bool(limits.low <= 0.05 <= limits.high)
    return Row(BENCH, name, 100 * missed / LOGS, "%", "by the interval's own level", 5.0, bound, holds)


def _windows(world: World) -> Row:
    windows(world, requests=10, seed=0)
    each, count = _timed(lambda n: windows(world, requests=REQUESTS, seed=n).num_rows, WINDOWS)
    rows_again = windows(world, requests=REQUESTS, seed=0)
    copied, _ = _timed(lambda _: rows_again.combine_chunks().to_pandas().copy().shape[0], WINDOWS)
    name = f"window of {REQUESTS} requests, {count // WINDOWS:,} rows"
    beside = ("the same window copied into pandas", 1e3 * copied)
    return within(BENCH, name, 1e3 * each, unit="ms", yardstick=beside, limit=40)


def _clicks(workspace: Workspace) -> list[Row]:
    """One simulated person's clicks on one slate, over the items of the workspace."""
    name = "clicks of one person on one slate"
    try:
        people = Audience.of(workspace, SEED)
    except MissingArtifact as error:
        return [not_measured(BENCH, name, str(error))]
    rng, moment = np.random.default_rng(SEED), datetime(2026, 1, 1, 12, tzinfo=UTC)
    visitors = people.requests(rng)
    slate = people.fitted.item_ids[: people.settings.slate]
    each, _ = _timed(lambda _: int(people.clicks(next(visitors).user_id, slate, moment, rng).sum()), 1_000)
    bare, _ = _timed(lambda _: int((rng.random(len(slate)) < 0.05).sum()), 1_000)
    beside = ("as many draws without tastes", 1e3 * bare)
    return [within(BENCH, name, 1e3 * each, unit="ms", yardstick=beside, limit=1)]


def _feedback(world: World) -> list[Row]:
    """What exploration changes in a recommender that learns from its own clicks: last quarter of the rounds."""
    alone = feedback_loop(world, exploration=0.0, seed=SEED)
    explored = feedback_loop(world, exploration=0.1, seed=SEED)
    sampled = feedback_loop(world, exploration=0.0, seed=SEED, thompson=True)
    found: list[Row] = []
    for loop in (explored, sampled):
        for measure, words in (("gini", "Gini of exposure"), ("bubble", "filter bubble")):
            name = f"feedback, {words}, {loop.name}"
            beside = (alone.name, alone.ending(measure))
            if measure == "gini":
                found.append(at_most(BENCH, name, loop.ending(measure), unit="", yardstick=beside, ratio=1.0))
            else:
                found.append(_shown(name, loop.ending(measure), beside))
        more = loop.ending("new_share") > alone.ending("new_share")
        name = f"feedback, share of new items, {loop.name}"
        found.append(
            Row(BENCH, name, loop.ending("new_share"), "", alone.name, alone.ending("new_share"), "> yardstick", more)
        )
        beside = (alone.name, alone.ending("click_rate"))
        found.append(_shown(f"feedback, true click rate, {loop.name}", loop.ending("click_rate"), beside))
    return found


def _shown(name: str, value: float, beside: tuple[str, float]) -> Row:
    """A figure without a bound: what it costs, or brings."""
    return Row(BENCH, name, value, "", *beside, "shown", bool(np.isfinite(value)))


def _timed(work: Callable[[int], Any], times: int) -> tuple[float, int]:
    """Seconds a call, and the sum of what the calls returned."""
    started = time.perf_counter()
    total = sum(int(work(n)) for n in range(times))
    return (time.perf_counter() - started) / times, total
