"""`python -m bench.monitoring_simulator_contender ours|copy EVENTS FOLDER`: a simulated log, or its table again."""

import sys
from pathlib import Path

import duckdb
import pyarrow.parquet as pq

from bench.contender import report
from monitoring.simulator.command import Asked, settings_of
from monitoring.simulator.dataset import write_dataset
from monitoring.simulator.log import simulate
from monitoring.simulator.make import make_world

SEED = 1


def ours(events: int, folder: Path) -> int:
    """Draw a world, live through it, write its tables; returns the number of events."""
    world = make_world(settings_of(Asked(events=events, output=folder, seed=SEED, days=60.0)), seed=SEED)
    log = simulate(world, seed=SEED)
    write_dataset(world, log, folder)
    return int(log.events.num_rows)


def copy(folder: Path) -> int:
    """Sort the events that are there already by time and write them with DuckDB: the least that making them costs."""
    copied = folder / "copy.parquet"
    with duckdb.connect() as connection:
        table = f"SELECT * FROM read_parquet('{folder / 'events.parquet'}') ORDER BY event_id DESC"
        connection.execute(f"CREATE TABLE shuffled AS {table}")
        connection.execute(f"COPY (FROM shuffled ORDER BY timestamp, event_id) TO '{copied}'")
    return int(pq.read_metadata(copied).num_rows)


def main(kind: str, events: str, folder: str) -> None:
    work = {"ours": lambda: ours(int(events), Path(folder)), "copy": lambda: copy(Path(folder))}[kind]
    report(work, lambda rows: rows)


if __name__ == "__main__":
    main(*sys.argv[1:])
