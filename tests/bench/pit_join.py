"""Point-in-time joins on `completejourney`: our offline store beside Feast's DuckDB store and the bare ASOF join.

The short contenders take turns and each counts by its best time and its highest peak, since other work on the machine
only ever adds. Feast's store runs once; at 1,000,000 rows it is watched, and where it is stopped what it needed until
then is the yardstick, so that a bound that holds beside it holds all the more.
"""

from collections.abc import Iterable, Mapping

from bench.contender import Measured, run_contender
from bench.journey import journey_in, prepare
from bench.pit_join_guard import Limits, Stopped, available_mb, run_guarded
from bench.pit_join_tables import daily_snapshots
from bench.rows import Row, at_most, not_measured
from feature_repo.core.console import console
from feature_repo.core.workspace import Workspace

MODULE = "bench.pit_join_contender"
LARGE = 1_000_000
SMALL = 100_000
SHORT = ("bare", "ours", "ours-known")
TURNS = 3
# Feast's store is stopped at ten times our time, and before it takes the memory that others need.
PATIENCE = 10
SHARE_OF_MEMORY = 0.7

Contender = tuple[str, int]
Result = Measured | Stopped | str


def rows(workspace: Workspace) -> list[Row]:
    """Every contender at the sizes that it can be asked for, each in a process of its own."""
    journey = journey_in(workspace)
    failed = prepare(journey)
    if failed:
        return [not_measured("pit_join", "completejourney", failed)]
    data = (str(daily_snapshots(journey)), str(journey.events))
    found: dict[Contender, Result] = {}
    for size, long in ((SMALL, ("feast", "feast-known")), (LARGE, ())):
        found.update(in_turns(SHORT, size, data, between=long))
    ours = found["ours", LARGE]
    if isinstance(ours, Measured):
        for kind in ("feast", "feast-parts"):
            limits = Limits(seconds=PATIENCE * ours.seconds, memory_mb=SHARE_OF_MEMORY * available_mb())
            with console.status(f"pit_join: {kind}, {LARGE:,} rows, at most {limits.seconds:.0f} s"):
                found[kind, LARGE] = run_guarded(MODULE, kind, *data, str(LARGE), limits=limits)
    return compare_all(found)


def in_turns(
    kinds: Iterable[str], size: int, data: tuple[str, str], *, between: Iterable[str] = ()
) -> dict[Contender, Result]:
    """The best of TURNS rounds for each of `kinds`; after each round, as long as there are any, one of `between`.

    What is compared is measured at about the same time, so that both meet the same other work on the machine.
    """
    results: dict[Contender, list[Measured | str]] = {}
    waiting = list(between)
    for turn in range(TURNS):
        for kind in (*kinds, *waiting[:1]):
            with console.status(f"pit_join: {kind}, {size:,} rows, {turn + 1} of {TURNS}"):
                results.setdefault((kind, size), []).append(run_contender(MODULE, kind, *data, str(size)))
        waiting = waiting[1:]
    return {contender: best(turns) for contender, turns in results.items()}


def best(turns: Iterable[Measured | str]) -> Measured | str:
    """The shortest time with the highest peak; a turn that failed is the answer."""
    measured: list[Measured] = []
    for turn in turns:
        if isinstance(turn, str):
            return turn
        measured.append(turn)
    return Measured(min(m.seconds for m in measured), max(m.peak_mb for m in measured), min(m.rows for m in measured))


def compare_all(found: Mapping[Contender, Result]) -> list[Row]:
    return [
        compared(found, ("ours", LARGE), ("bare", LARGE), figure="seconds", ratio=2.5),
        compared(found, ("ours", LARGE), ("bare", LARGE), figure="seconds", ratio=1.2, note=" (goal)"),
        compared(found, ("ours", SMALL), ("feast", SMALL), figure="seconds", ratio=1 / 5),
        compared(found, ("ours", SMALL), ("feast", SMALL), figure="peak_mb", ratio=1),
        compared(found, ("ours", LARGE), ("feast-parts", LARGE), figure="seconds", ratio=1 / 5),
        compared(found, ("ours", LARGE), ("feast", LARGE), figure="peak_mb", ratio=1),
        compared(found, ("ours", LARGE), ("ours", SMALL), figure="seconds", ratio=12),
        compared(found, ("ours-known", SMALL), ("feast-known", SMALL), figure="seconds", ratio=1 / 5),
        compared(found, ("ours-known", SMALL), ("feast-known", SMALL), figure="peak_mb", ratio=1),
        compared(found, ("ours-known", LARGE), ("bare", LARGE), figure="seconds", ratio=2.5),
    ]


def compared(
    measured: Mapping[Contender, Result],
    one: Contender,
    other: Contender,
    *,
    figure: str,
    ratio: float,
    note: str = "",
) -> Row:
    """One figure of `one` beside that of `other`; a contender that failed is a row that says so."""
    unit = "s" if figure == "seconds" else "MB"
    name = f"{one[0]}, {one[1]:,} rows, {'time' if unit == 's' else 'peak memory'}{note}"
    for kind, size in (one, other):
        result = measured.get((kind, size), "it was not started")
        if isinstance(result, str):
            return not_measured("pit_join", name, f"{kind}, {size:,} rows, failed: {result}")
        if isinstance(result, Measured) and result.rows != size:
            return not_measured("pit_join", name, f"{kind} answered {result.rows:,} rows of {size:,}")
    value, beside = (float(getattr(measured[contender], figure)) for contender in (one, other))
    label = f"{other[0]}, {other[1]:,} rows"
    yardstick = measured[other]
    if isinstance(yardstick, Stopped):
        label += f", more than (stopped: {yardstick.limit})"
    return at_most("pit_join", name, value, unit=unit, yardstick=(label, beside), ratio=ratio)
