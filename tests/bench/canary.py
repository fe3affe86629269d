"""`make bench BENCH=canary`: simulated releases through the real assess and step, looked at after every tick.

Scenario: 500 requests a second, slates of 10 that people of monitoring/simulator click, the default policy without its
shadow. Every share stands with its 95 % limits (C. J. Clopper, E. S. Pearson 1934); a bound holds where the limit on
its side does.
"""

import math
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import beta

from bench.canary_people import clustering, people, slates_at
from bench.canary_release import End, Release
from bench.canary_traffic import Behaviour
from bench.rows import Row
from feature_repo.core.workspace import Workspace
from k8s.policy.rules import RolloutPolicy
from k8s.rollout.states import State
from monitoring.simulator.streams import stream

RELEASES = 2_000  # a cell
POLICY = RolloutPolicy(shadow=None)
# Beside the scenario's 5 %.
OTHER_CLICK_RATES = (0.01, 0.02, 0.10)
SEED = 7
FINE = Behaviour()


@dataclass(frozen=True)
class Cell:
    """One kind of release, many times."""

    name: str
    canary: Behaviour
    stable: Behaviour = FINE


Holds = Callable[[End], bool]


def rows(_workspace: Workspace) -> Iterator[Row]:
    """How far one person's clicks hang together, and every cell's figures."""
    yield _clustered()
    for cell in _cells():
        yield from _rows_of(cell)


def _clustered() -> Row:
    slates = slates_at(FINE.click_rate, FINE.click_rate)
    found = clustering(slates["clicks"][:, 0], slates["shown"], people().first)
    told = f"1 is without clustering; two impressions of a person correlate by {found.correlation:.4f}"
    name = f"clicks, {FINE.click_rate:.0%}: variance, in times of independent impressions"
    return Row("canary", name, found.design_effect, "x", told, None, "> 1", found.design_effect > 1)


def _cells() -> Iterator[tuple[Cell, Sequence[tuple[str, Holds, str, float]]]]:
    """A cell and its figures: what is counted, and the bound on its share."""
    promoted, rolled_back = _ended(State.PROMOTED), _ended(State.ROLLED_BACK)
    equal = (("PROMOTED", promoted, ">=", 0.80), ("ROLLED_BACK", rolled_back, "<=", 0.05))
    worse = (
        ("ROLLED_BACK", rolled_back, ">=", 0.95),
        ("ROLLED_BACK before 25 % of traffic", _early, ">=", 0.50),
    )
    broken = (("ROLLED_BACK within 1,000 canary requests", _soon, ">=", 0.95),)
    yield Cell("equal, 5 % clicks", FINE), equal
    yield Cell("20 % fewer clicks, of 5 %", replace(FINE, click_rate=0.04)), worse
    yield Cell("2 % errors", replace(FINE, error_share=0.02)), broken
    yield Cell("latencies doubled", replace(FINE, slower=2.0)), broken
    costly = (("ROLLED_BACK", rolled_back, ">=", 0.95),)
    yield Cell("three times the CPU time", replace(FINE, cpu_ms=3 * FINE.cpu_ms)), costly
    for rate in OTHER_CLICK_RATES:
        stable = replace(FINE, click_rate=rate)
        yield Cell(f"equal, {rate:.0%} clicks", stable, stable), equal
        yield Cell(f"20 % fewer clicks, of {rate:.0%}", replace(stable, click_rate=0.8 * rate), stable), worse
    # The two sides that the policy promises: the tolerated is not punished, the limit is not let through.
    at_tolerated = replace(FINE, click_rate=0.98 * 0.05, error_share=0.002, cpu_ms=1.5 * FINE.cpu_ms)
    yield Cell("as bad as tolerated", at_tolerated), (("ROLLED_BACK", rolled_back, "<=", 0.05),)
    at_limit = replace(FINE, click_rate=0.95 * 0.05)
    yield Cell("clicks at the last limit", at_limit), (("PROMOTED", promoted, "<=", 0.05),)
    yield Cell("no data", replace(FINE, silent=True)), (("PROMOTED", promoted, "<=", 0.0),)


def _ended(state: State) -> Holds:
    return lambda end: end.state is state


def _early(end: End) -> bool:
    return end.state is State.ROLLED_BACK and end.weight < 25


def _soon(end: End) -> bool:
    return end.state is State.ROLLED_BACK and end.canary_requests <= 1_000


def _rows_of(cell_and_figures: tuple[Cell, Sequence[tuple[str, Holds, str, float]]]) -> Iterator[Row]:
    cell, figures = cell_and_figures
    ends = run_cell(cell, RELEASES)
    for name, holds, side, bound in figures:
        hits = sum(holds(end) for end in ends)
        low, high = limits(hits, len(ends))
        share = hits / len(ends)
        told = f"95 % limits {low:.2%} to {high:.2%}, {_story(ends)}"
        # No promotion at all is a promise of the code, which any single one breaks.
        met = hits == 0 if bound == 0 else (low >= bound if side == ">=" else high <= bound)
        yield Row("canary", f"{cell.name}: {name}", 100 * share, "%", told, None, f"{side} {bound:.0%}", met)


def run_cell(cell: Cell, releases: int) -> list[End]:
    """The ends of this many releases, on every core."""
    slates_at(cell.canary.click_rate, cell.stable.click_rate)  # drawn once, before the processes part
    workers = os.cpu_count() or 1
    with ProcessPoolExecutor(workers) as pool:
        parts = pool.map(_some, [cell] * workers, [(first, releases, workers) for first in range(workers)])
        return [end for part in parts for end in part]


def _some(cell: Cell, which: tuple[int, int, int]) -> list[End]:
    first, releases, workers = which
    return [
        Release((cell.canary, cell.stable), POLICY, stream(SEED, cell.name, number)).run()
        for number in range(first, releases, workers)
    ]


def limits(hits: int, total: int) -> tuple[float, float]:
    """Two-sided 95 % limits of a share."""
    low = 0.0 if hits == 0 else float(beta.ppf(0.025, hits, total - hits + 1))
    high = 1.0 if hits == total else float(beta.ppf(0.975, hits + 1, total - hits))
    return low, high


def _story(ends: list[End]) -> str:
    minutes = np.percentile([end.seconds / 60 for end in ends], [50, 95])
    requests = math.ceil(np.percentile([end.canary_requests for end in ends], 50))
    return f"median {minutes[0]:.1f} min (95th percentile {minutes[1]:.1f}), {requests:,} canary requests"
