"""How often the drift verdict cries without cause, and how soon it sees what a simulator changed.

Each simulated world has a reference of four weeks; what is judged are the weeks after it, each with the week before at
hand as in the request log. Users come again, days differ, counts are heavy-tailed and totals grow. An alarm is any
verdict but PASS, from the newest week alone or with the one before. Limits are one-sided, 95 %.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from math import sqrt

from scipy.stats import binomtest

from bench.rows import Row
from feature_repo.core.workspace import Workspace
from monitoring.drift.judge import Judge
from monitoring.drift.policy import DriftPolicy
from monitoring.drift.sustained import judge_newest
from monitoring.drift.window import Window, window_of
from monitoring.simulator.make import make_world
from monitoring.simulator.settings import SimulatorSettings
from monitoring.simulator.shift import Kind, Shift
from monitoring.simulator.windows import windows
from monitoring.simulator.world import World
from training.verdict import Verdict

BENCH = "monitoring"
POLICY = DriftPolicy()
REFERENCE_DAYS, REFERENCE_REQUESTS = 28.0, 4_000
REQUESTS = 1_000  # of a week
WORLDS, WINDOWS = 40, 75  # 3,000 quiet weeks
SIZES = (0.1, 0.2, 0.3, 0.5)
PROMISED = 0.3  # standard deviations
TRIALS = {size: 100 if size == PROMISED else 20 for size in SIZES}  # pairs of weeks for each kind and size
TRIALS_A_WORLD = 5
QUIET_DRAWS = 500  # from here on they are of the quiet week before a shift
MOST_ALARMS, LEAST_SEEN = 0.01, 0.95


@lru_cache(maxsize=1)
def judged_world(seed: int) -> tuple[World, Judge]:
    world = make_world(SimulatorSettings(), seed=seed)
    reference = windows(world, requests=REFERENCE_REQUESTS, seed=1_000_000 + seed, days=REFERENCE_DAYS)
    return world, Judge(window_of(reference, POLICY), POLICY)


def week_of(seed: int, draw: int, shift: Shift | None = None, *, later: int = 0) -> Window:
    """A week of a world, `later` weeks after the first one that follows the reference."""
    world, _ = judged_world(seed)
    start = REFERENCE_DAYS + 7 * later
    table = windows(world, requests=REQUESTS, seed=1_000 * seed + draw, start_day=start, shift=shift)
    return window_of(table, POLICY)


def alarm(seed: int, week: Window, before: Window | None) -> bool:
    _, judge = judged_world(seed)
    return judge_newest(judge, week, before, POLICY).assessment.verdict is not Verdict.PASS


def quiet_alarms(seed: int) -> int:
    """Alarms in the quiet weeks of one world; every week but the first has another one before it."""
    weeks = [week_of(seed, number, later=number % 2) for number in range(WINDOWS)]
    return sum(alarm(seed, week, before) for week, before in zip(weeks, [None, *weeks], strict=False))


def seen(seed: int, trial: int, kind: Kind, size: float) -> int:
    """In which of the two weeks after the shift it was seen: 1, 2, or 0 for neither."""
    shift = Shift(kind=kind, size=size, from_day=REFERENCE_DAYS)
    before = week_of(seed, QUIET_DRAWS + trial, later=-1)
    for later in (0, 1):
        week = week_of(seed, 2 * trial + later, shift, later=later)
        if alarm(seed, week, before):
            return later + 1
        before = week
    return 0


def rows(_workspace: Workspace) -> Iterator[Row]:
    yield quiet_row([quiet_alarms(seed) for seed in range(WORLDS)])
    for size in SIZES:
        found: dict[Kind, list[int]] = {kind: [] for kind in Kind}
        for trial in range(TRIALS[size]):
            # World by world, since a reference takes longer than a week.
            for kind in Kind:
                found[kind].append(seen(trial // TRIALS_A_WORLD, trial % TRIALS_A_WORLD, kind, size))
        yield from (seen_row(kind, size, weeks) for kind, weeks in found.items())


def quiet_row(alarms: Sequence[int]) -> Row:
    weeks, count = len(alarms) * WINDOWS, sum(alarms)
    exact = binomtest(count, weeks).proportion_ci(0.9, method="exact").high
    limit = max(exact, grouped_limit([one / WINDOWS for one in alarms]))
    name = f"{count} alarms in {weeks:,} quiet weeks of {REQUESTS:,} requests, {len(alarms)} references: upper limit"
    return Row(
        bench=BENCH,
        name=name,
        value=limit,
        unit="",
        yardstick="were weeks of one reference independent",
        yardstick_value=exact,
        bound=f"<= {MOST_ALARMS:g}",
        holds=limit <= MOST_ALARMS,
    )


def grouped_limit(shares: Sequence[float]) -> float:
    """Upper limit of the mean share of groups that have something in common, such as one reference."""
    mean = sum(shares) / len(shares)
    variance = sum((share - mean) ** 2 for share in shares) / (len(shares) - 1)
    return min(1.0, mean + 1.645 * sqrt(variance / len(shares)))


def seen_row(kind: Kind, size: float, weeks: Sequence[int]) -> Row:
    count, at_once = sum(week > 0 for week in weeks), sum(week == 1 for week in weeks)
    low = binomtest(count, len(weeks)).proportion_ci(0.9, method="exact").low
    promised = size == PROMISED
    return Row(
        bench=BENCH,
        name=f"{kind} of {size:g} sd seen within two weeks, {count} of {len(weeks)}, lower limit {low:.3f}",
        value=count / len(weeks),
        unit="",
        yardstick="within the first week",
        yardstick_value=at_once / len(weeks),
        bound=f">= {LEAST_SEEN:g}" if promised else "",
        holds=not promised or count / len(weeks) >= LEAST_SEEN,
    )
