"""The drift job on 1.47 million rows and 30 features, page included, beside Evidently alone on all of them."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from bench.contender import Measured, run_contender
from bench.journey import journey_in
from bench.rows import Row, not_measured
from feature_repo.core.workspace import Workspace

BENCH = "monitoring"
ROWS, FEATURES, USERS, ITEMS = 1_469_307, 30, 2_469, 68_509  # as many as completejourney has
MOST_SECONDS, MOST_MB = 60.0, 2_048.0
CONTENDER = "bench.monitoring_drift_contender"


def rows(workspace: Workspace) -> Iterator[Row]:
    events = journey_in(workspace).events
    with TemporaryDirectory() as folder:
        make_windows(Path(folder), events if events.exists() else None)
        found = {who: run_contender(CONTENDER, who, folder) for who in ("ours", "evidently")}
    ours, beside = found["ours"], found["evidently"]
    whose = "completejourney's users and times" if events.exists() else "made users and times"
    name = f"drift over {ROWS:,} rows of {FEATURES} features ({whose})"
    if isinstance(ours, str):
        yield not_measured(BENCH, name, ours)
        return
    said = "Evidently alone on all rows" if isinstance(beside, Measured) else f"Evidently on all rows: {beside}"
    other = beside if isinstance(beside, Measured) else None
    yield _row(f"{name}, page included", ours.seconds, "s", said, other and other.seconds, MOST_SECONDS)
    yield _row(f"{name}, peak memory", ours.peak_mb, "MB", said, other and other.peak_mb, MOST_MB)


def make_windows(folder: Path, events: Path | None) -> None:
    """Two parquet files, the earlier and the later half: users and moments as they were, features made of them."""
    made = (
        f"SELECT 'u' || (hash(i) % {USERS}) AS user_id, 'i' || (hash(i, 1) % {ITEMS}) AS item_id,"
        f" TIMESTAMPTZ '2026-01-01 00:00:00+00' + INTERVAL 1 SECOND * (i * 20) AS moment FROM range({ROWS}) t(i)"
    )
    source = made if events is None else f"SELECT user_id, item_id, timestamp AS moment FROM '{events}' LIMIT {ROWS}"
    # A feature is a user's own level and a row's noise, both of them from hashes: the same on every run.
    level = "(hash(user_id, {n}) % 1000) / 500.0"
    noise = "(hash(item_id, moment, {n}) % 1000) / 250.0"
    features = ", ".join(f"({level} + {noise})::FLOAT AS f{{n}}".format(n=n) for n in range(FEATURES))
    with duckdb.connect(config={"memory_limit": "1GB"}) as db:
        db.execute(
            "CREATE TABLE rows AS SELECT *, user_id || '@' || epoch_us(moment) AS request_id, 0::FLOAT AS score,"
            f" ntile(2) OVER (ORDER BY moment) AS half FROM ({source})"
        )
        for half, name in ((1, "reference"), (2, "current")):
            query = f"SELECT request_id, user_id, item_id, moment, {features} FROM rows WHERE half = {half}"
            db.execute(f"COPY ({query}) TO '{folder / name}.parquet'")


def _row(name: str, value: float, unit: str, said: str, other: float | None, most: float) -> Row:
    holds = value <= most and other is not None
    return Row(BENCH, name, value, unit, said, other, f"<= {most:g} {unit}", holds)
