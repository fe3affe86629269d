"""Point-in-time joins on `completejourney`: our offline store beside Feast's DuckDB store and the bare ASOF join."""

from pathlib import Path

import duckdb

from bench.contender import Measured, run_contender
from bench.journey import journey_in, prepare
from bench.pit_join_contender import VIEWS
from bench.rows import Row, at_most, not_measured
from feature_repo.core.console import console
from feature_repo.core.workspace import Workspace

MODULE = "bench.pit_join_contender"
LARGE = 1_000_000
SMALL = 100_000


def rows(workspace: Workspace) -> list[Row]:
    """Three contenders on 100,000 rows, then ours and the bare join on 1,000,000, each in a process of its own."""
    journey = journey_in(workspace)
    failed = prepare(journey)
    if failed:
        return [not_measured("pit_join", "completejourney", failed)]
    tables = daily_snapshots(journey)
    measured: dict[tuple[str, int], Measured | str] = {}
    for kind, size in (("bare", SMALL), ("ours", SMALL), ("feast", SMALL), ("bare", LARGE), ("ours", LARGE)):
        with console.status(f"pit_join: {kind}, {size:,} rows"):
            measured[kind, size] = run_contender(MODULE, kind, str(tables), str(journey.events), str(size))
    return [
        compared(measured, ("ours", SMALL), ("feast", SMALL), figure="seconds", ratio=1 / 5),
        compared(measured, ("ours", SMALL), ("feast", SMALL), figure="peak_mb", ratio=1),
        compared(measured, ("ours", SMALL), ("bare", SMALL), figure="seconds", ratio=2.5),
        compared(measured, ("ours", LARGE), ("bare", LARGE), figure="seconds", ratio=2.5),
        compared(measured, ("ours", LARGE), ("ours", SMALL), figure="seconds", ratio=12),
    ]


def compared(
    measured: dict[tuple[str, int], Measured | str],
    one: tuple[str, int],
    other: tuple[str, int],
    *,
    figure: str,
    ratio: float,
) -> Row:
    """One figure of `one` beside that of `other`; a contender that failed is a row that says so."""
    unit = "s" if figure == "seconds" else "MB"
    name = f"{one[0]}, {one[1]:,} rows, {'time' if unit == 's' else 'peak memory'}"
    found = [measured[one], measured[other]]
    for result, (kind, size) in zip(found, (one, other), strict=True):
        if isinstance(result, str):
            return not_measured("pit_join", name, f"{kind}, {size:,} rows, failed: {result}")
        if result.rows != size:
            return not_measured("pit_join", name, f"{kind} answered {result.rows:,} rows of {size:,}")
    value, beside = (float(getattr(result, figure)) for result in found)
    yardstick = (f"{other[0]}, {other[1]:,} rows", beside)
    return at_most("pit_join", name, value, unit=unit, yardstick=yardstick, ratio=ratio)


def daily_snapshots(journey: Workspace) -> Path:
    """The last state of each key and day, so that a history has as many rows as days with events."""
    folder = journey.root / "daily"
    folder.mkdir(exist_ok=True)
    for view, key in VIEWS.items():
        connection = duckdb.connect()
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(
            f"""COPY (SELECT * FROM read_parquet('{journey.tables / view}.parquet') QUALIFY row_number() OVER (
                PARTITION BY {key}, date_trunc('day', event_timestamp) ORDER BY event_timestamp DESC) = 1)
            TO '{folder / view}.parquet'"""
        )
    return folder
