"""Commands of the feature store: `python -m feature_repo --help`."""

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.table import Table

from feature_repo.core.console import console, run
from feature_repo.core.workspace import Workspace

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Events in, features out.")


@app.command()
def data(
    dataset: Annotated[
        str, typer.Option(envvar="DATASET", help="A built-in data set, or the path of a dataset.yaml.")
    ] = "movielens-100k",
) -> None:
    """Fetch and clean the events, split them by time, build the feature tables."""
    from feature_repo.dataset.declaration import load_dataset
    from feature_repo.dataset.prepare import prepare

    workspace = Workspace.from_env()
    with console.status(f"preparing {dataset}"):
        report = prepare(load_dataset(dataset), workspace, now=datetime.now(UTC))
    _show_data(report)


@app.command()
def apply() -> None:
    """Register the feature definitions; the same as `feast -c feature_repo apply`, for any BUILD folder."""
    from feature_repo.store.apply import apply_definitions

    if not apply_definitions(Workspace.from_env()):
        console.print("up to date: these definitions are registered")


@app.command()
def materialize(
    until: Annotated[
        str,
        typer.Option(
            envvar="UNTIL",
            help="State before this moment: ISO 8601 with a zone, `now`, or `held-out` (where that window starts).",
        ),
    ] = "now",
) -> None:
    """Fill the online store and publish the item snapshot."""
    from feature_repo.store.materialize import materialize as fill
    from feature_repo.store.open import quiet_feast

    workspace = Workspace.from_env()
    quiet_feast()
    moment = _moment(until, workspace)
    with console.status("filling the online store"):
        items = fill(workspace, until=moment)
    if items is None:
        console.print(f"up to date: the online store holds the state before {moment.isoformat()}")
    else:
        console.print(f"online store and a snapshot of {items} items hold the state before {moment.isoformat()}")


@app.command()
def stream(
    once: Annotated[bool, typer.Option("--once", help="Stop when every event on the bus is counted.")] = False,
    batch: Annotated[int, typer.Option(min=1, max=100_000, help="Most events taken together.")] = 2_000,
    max_seconds: Annotated[float | None, typer.Option(min=0, help="Stop after so many seconds.")] = None,
) -> None:
    """Count the events of the bus (BUS_URL, by default those that POST /events received) into the online store."""
    from feature_repo.store.open import quiet_feast
    from feature_repo.stream.command import consume

    quiet_feast()
    consume(Workspace.from_env(), once=once, batch=batch, max_seconds=max_seconds)


def _moment(until: str, workspace: Workspace) -> datetime:
    from feature_repo.dataset.split import load_split, parse_moment

    if until == "now":
        return datetime.now(UTC)
    if until == "held-out":
        return load_split(workspace).challenger_end
    return parse_moment(until, option="UNTIL", words="now, held-out")


def _show_data(report: dict[str, object]) -> None:
    from feature_repo.dataset.report import left_out, lines_of, share

    table = Table(f"{report['dataset']}: {report['users']:,} users, {report['items']:,} items", "rows", "share")
    for what, rows, part in lines_of(report):
        table.add_row(what, f"{rows:,}", share(part))
    console.print(table)
    for sentence in left_out(report):
        console.print(sentence)
    if report["reused"]:
        console.print("up to date: the files and the declaration have not changed")


if __name__ == "__main__":
    run(app)
