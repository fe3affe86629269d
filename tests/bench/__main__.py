"""`make bench`: benchmarks side by side, as a table on screen and rows in build/bench.json."""

import importlib
import os

import typer

from bench.rows import Row, line_of, table_of, write_rows
from feature_repo.core.console import console, run
from feature_repo.core.errors import MissingArtifact
from feature_repo.core.workspace import Workspace

BUILT = ("pit_join", "transforms", "stream", "training", "serving", "quality", "faults", "canary", "monitoring")
LONG = ("quality", "faults", "canary", "monitoring")  # only where BENCH names them

app = typer.Typer(add_completion=False)


@app.command()
def bench() -> None:
    """Run the benchmarks that BENCH names (comma-separated), by default all that are built but the long ones."""
    default = ",".join(name for name in BUILT if name not in LONG)
    chosen = [name for name in (os.environ.get("BENCH") or default).split(",") if name]
    for name in chosen:
        if name not in BUILT:
            raise MissingArtifact(f"BENCH takes {', '.join(BUILT)}; got {name!r}")
    workspace = Workspace.from_env()
    workspace.root.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    for name in chosen:
        for row in importlib.import_module(f"bench.{name}").rows(workspace):
            rows.append(row)
            # A run of an hour that is stopped leaves what it has measured.
            write_rows(rows, workspace.root / "bench.json")
            console.print(line_of(row), markup=False, highlight=False)
    console.print(table_of(rows))


if __name__ == "__main__":
    run(app)
