"""`python -m monitoring`: drift, summary, timed."""

from typing import Annotated

import typer

from feature_repo.core.console import console, run
from feature_repo.core.workspace import Workspace
from monitoring.drift import DriftPolicy

# `timed` and `summary` must not wait for Evidently or MLflow, so each command imports what it needs.

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Judge drift, print the closing table, measure a step."
)


@app.command()
def drift(
    threshold: Annotated[
        float,
        typer.Option(help="Distance, in standard deviations of the reference, that makes a column drifted."),
    ] = DriftPolicy.threshold,
    fail_share: Annotated[
        float, typer.Option(help="Share of the columns, drifted, that makes the verdict FAIL.")
    ] = DriftPolicy.fail_share,
    constant: Annotated[
        list[str] | None, typer.Option(help="A column that may hold one value by design; may be repeated.")
    ] = None,
) -> None:
    """Judge the current window against the champion's reference sample; writes drift.html and drift.json."""
    from monitoring.drift_job import check_drift
    from monitoring.drift_table import drift_table

    constants = frozenset(constant or ())
    policy = DriftPolicy(threshold=threshold, fail_share=fail_share, constant_by_design=constants)
    console.print(drift_table(check_drift(Workspace.from_env(), policy)))


@app.command()
def summary() -> None:
    """Print the closing table from the JSON reports; what is missing says which command makes it."""
    from monitoring.summary import print_summary

    print_summary(Workspace.from_env().reports, console)


@app.command()
def timed(
    name: Annotated[str, typer.Argument(help="The step's name in resources.json.")],
    command: Annotated[list[str], typer.Argument(help="The command, after `--`.")],
) -> None:
    """Run one step, pass its output and exit status through, and record its time and peak memory."""
    from monitoring.timed import record, run_timed

    cost = run_timed(command)
    record(Workspace.from_env().reports, name, cost)
    raise typer.Exit(cost.exit_status)


if __name__ == "__main__":
    run(app)
