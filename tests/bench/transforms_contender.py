"""`python -m bench.transforms_contender ours|copy WORKSPACE`: every feature table, or the events sorted and copied."""

import sys
import tempfile
from pathlib import Path

import duckdb
import pyarrow.parquet as pq

from bench.contender import report
from feature_repo.core.workspace import Workspace
from feature_repo.dataset.prepare import active_dataset
from feature_repo.dataset.read import connect, read_entities
from feature_repo.dataset.source import fetch
from feature_repo.transforms.build import build_tables


def ours(journey: Workspace, folder: Path) -> int:
    """Build all feature tables; returns the number of events behind them."""
    dataset = fetch(active_dataset(journey), journey.root / "downloads")
    connection = connect()
    assert dataset.users is not None
    assert dataset.items is not None
    users = read_entities(connection, dataset, dataset.users, "user_id").to_arrow_table()
    items = read_entities(connection, dataset, dataset.items, "item_id").to_arrow_table()
    events = pq.read_table(journey.events)
    build_tables(dataset, events, users=users, items=items, folder=folder)
    return int(events.num_rows)


def copy(journey: Workspace, folder: Path) -> int:
    """Sort the events by user and by item and write them: the least that any transform has to do."""
    connection = duckdb.connect()
    for key in ("user_id", "item_id"):
        query = f"SELECT * FROM read_parquet('{journey.events}') ORDER BY {key}, timestamp"
        connection.execute(f"COPY ({query}) TO '{folder / key}.parquet'")
    return int(pq.read_metadata(folder / "user_id.parquet").num_rows)


def main(kind: str, root: str) -> None:
    journey = Workspace(root=Path(root), store=Path(root) / "store")
    work = {"ours": ours, "copy": copy}[kind]
    with tempfile.TemporaryDirectory() as folder:
        report(lambda: work(journey, Path(folder)), lambda rows: rows)


if __name__ == "__main__":
    main(*sys.argv[1:])
