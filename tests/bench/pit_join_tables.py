"""What the contenders join: the last state of each key and day, and when it was written."""

from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from feature_repo.core.workspace import Workspace

VIEWS = {
    "user_activity": "user_id",
    "user_profile": "user_id",
    "item_popularity": "item_id",
    "item_metadata": "item_id",
}
TIME, CREATED = "event_timestamp", "created_timestamp"


def features(tables: Path, view: str) -> list[str]:
    """Every feature of the view's table."""
    return [
        name for name in pq.read_schema(tables / f"{view}.parquet").names if name not in (VIEWS[view], TIME, CREATED)
    ]


def daily_snapshots(journey: Workspace) -> Path:
    """A folder with a table for each of VIEWS: a history has as many rows as its key has days with events.

    A row is written 0 to 48 hours after the time that it holds from; a hash decides, so that every run joins the same.
    """
    folder = journey.root / "daily"
    folder.mkdir(exist_ok=True)
    for view, key in VIEWS.items():
        connection = duckdb.connect()
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(
            f"""COPY (SELECT COLUMNS(lambda c: c <> '{CREATED}'),
                {TIME} + INTERVAL 1 HOUR * (hash({key}, {TIME}) % 49) AS {CREATED}
                FROM read_parquet('{journey.tables / view}.parquet') QUALIFY row_number() OVER (
                PARTITION BY {key}, date_trunc('day', {TIME}) ORDER BY {TIME} DESC) = 1)
            TO '{folder / view}.parquet'"""
        )
    return folder


def entity_rows(events: Path, rows: int) -> pd.DataFrame:
    """A ranking training set to be: users, items and moments of `rows` events, drawn with a fixed seed."""
    log = pq.read_table(events, columns=["user_id", "item_id", "timestamp"])
    chosen = log.take(np.random.default_rng(1).choice(log.num_rows, rows, replace=False))
    frame = chosen.select(["user_id", "item_id"]).to_pandas()
    frame[TIME] = chosen["timestamp"].to_pandas().astype("datetime64[us, UTC]")
    return frame
