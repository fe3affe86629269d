"""`python -m monitoring`: drift, summary, timed."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from feature_repo.core.console import console, run
from feature_repo.core.workspace import Workspace
from monitoring.drift.policy import DriftPolicy
from monitoring.experiments import commands as experiments
from monitoring.experiments.offpolicy.command import offpolicy

# `timed` and `summary` must not wait for Evidently or MLflow, so each command imports what it needs.

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Judge drift, print the closing table, measure a step."
)
app.add_typer(experiments.app, name="experiment")
app.command()(offpolicy)


@app.command()
def drift(
    source: Annotated[
        str,
        typer.Option(
            envvar="SOURCE",
            help="What is judged: log, what the champion was logged to answer; window, what `make evaluate` replayed "
            "on the newest events; auto, the log where it holds enough, else the window.",
        ),
    ] = "auto",
    alarm_rate: Annotated[
        float, typer.Option(help="Share of quiet windows that may be called drift, over all columns together.")
    ] = DriftPolicy.model_fields["alarm_rate"].default,
    smallest: Annotated[
        float, typer.Option(help="A shift of fewer standard deviations is no alarm, however sure it is.")
    ] = DriftPolicy.model_fields["smallest_shift"].default,
    constant: Annotated[
        list[str] | None, typer.Option(help="A column that may hold one value by design; may be repeated.")
    ] = None,
) -> None:
    """Judge what is recommended now against the champion's reference sample.

    Thresholds come from a bootstrap of the reference's users and days: a quiet week stays quiet.

    PASS: no column moved further than quiet windows do. FAIL: one did, and the reasons name it.

    INCONCLUSIVE: too little evidence, or something is broken; the reasons say what.

    Writes drift.html for people, drift.json for machines and drift.prom for Prometheus into the reports.
    """
    from datetime import UTC, datetime

    from monitoring.drift.job import check_drift
    from monitoring.drift_table import drift_table

    values = {"alarm_rate": alarm_rate, "smallest_shift": smallest, "constant_by_design": frozenset(constant or ())}
    report = check_drift(Workspace.from_env(), DriftPolicy.of(values), source=source, now=datetime.now(UTC))
    console.print(drift_table(report))


@app.command()
def fairness(
    policy: Annotated[
        Path | None, typer.Option(help="A YAML file of FairnessPolicy; what it leaves out keeps its default.")
    ] = None,
) -> None:
    """Judge by group of users and of items what `make evaluate` replayed; writes fairness.html and fairness.json."""
    from datetime import UTC, datetime

    from monitoring.drift_table import verdict_lines
    from monitoring.fairness.job import attach, check_fairness, read_policy

    workspace = Workspace.from_env()
    report = check_fairness(workspace, read_policy(policy), now=datetime.now(UTC))
    attach(workspace, report)
    for line in verdict_lines(report, of="Fairness"):
        console.print(line, soft_wrap=True)


@app.command()
def simulate(
    output: Annotated[Path, typer.Option(help="A new folder, for events, users, items, slates and dataset.yaml.")],
    events: Annotated[int, typer.Option(help="Events of people; the log ends with the last of them.")] = 100_000,
    shift: Annotated[
        list[str] | None,
        typer.Option(
            help="KIND:SIZE@DAY, may be repeated; kinds: covariate, taste, popularity, new-items, broken-column, "
            "late, bots. As in taste:0.5@20."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same world and log.")] = 1,
    days: Annotated[float, typer.Option(help="Length of the log.")] = 60.0,
    users: Annotated[int | None, typer.Option(help="People; default a fiftieth of the events.")] = None,
    items: Annotated[int | None, typer.Option(help="Items; default 5 times the root of the events.")] = None,
    as_of: Annotated[datetime | None, typer.Option(help="Leave out what had not arrived by then (UTC).")] = None,
) -> None:
    """Write the log of simulated people whose true click rates are known, as a data set that the whole loop takes."""
    from monitoring.simulator.command import Asked, simulate_to

    moment = as_of.replace(tzinfo=UTC) if as_of else None
    simulate_to(Asked(events, output, seed, days, users, items, tuple(shift or ()), moment))


@app.command()
def skew(
    version: Annotated[
        str, typer.Option(help="The version that served: a number, champion or challenger.")
    ] = "champion",
    threshold: Annotated[
        float | None, typer.Option(help="Share of requests that may have a wrong value, in each feature.")
    ] = None,
    late_days: Annotated[
        float | None, typer.Option(help="Days that the stores may be behind in 99 of 100 requests.")
    ] = None,
) -> None:
    """Judge what was served against point-in-time retrieval, value by value; writes skew.html and skew.json."""
    from datetime import UTC, datetime

    from monitoring.skew.job import check_skew
    from monitoring.skew.settings import policy_with
    from monitoring.skew.table import skew_table

    policy = policy_with(threshold=threshold, late_days=late_days)
    console.print(skew_table(check_skew(Workspace.from_env(), policy, version=version, now=datetime.now(UTC))))


@app.command()
def business(
    window_hours: Annotated[float, typer.Option(help="Hours of requests that the figures are of.")] = 24,
    attribution_hours: Annotated[float, typer.Option(help="Hours in which an event is a request's doing.")] = 1,
) -> None:
    """Turn the request log and the events that followed into CTR, conversion and coverage, in business.prom."""
    from datetime import UTC, datetime

    from monitoring.dashboards.business import business_settings, write_business

    settings = business_settings(window_hours, attribution_hours)
    console.print(write_business(Workspace.from_env(), settings, now=datetime.now(UTC)), soft_wrap=True)


@app.command()
def export(
    host: Annotated[str, typer.Option(help="Address to listen on; in a pod 0.0.0.0.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Of /metrics; 0: any.")] = 9101,
) -> None:
    """Give what jobs left in the reports (business.prom, drift.prom, verdicts, ages) to a Prometheus; until SIGTERM."""
    from monitoring.dashboards.export import export as serve_reports

    serve_reports(Workspace.from_env(), host=host, port=port, say=lambda line: console.print(line, soft_wrap=True))


@app.command()
def monitor(
    port: Annotated[int, typer.Option(envvar="PORT", help="The port of the service on this machine.")] = 3000,
    own_port: Annotated[int, typer.Option(help="Prometheus' own port; 0 is a free one.")] = 0,
    every: Annotated[float, typer.Option(min=0.1, help="Seconds between two scrapes.")] = 15,
) -> None:
    """Start a local Prometheus over the service and the reports, with our alerts; ends at Ctrl-C."""
    from monitoring.dashboards.monitor import monitor as run_monitor

    run_monitor(
        Workspace.from_env(),
        port=port,
        own_port=own_port,
        every_seconds=every,
        say=lambda line: console.print(line, soft_wrap=True),
    )


@app.command()
def index() -> None:
    """Write index.html beside the reports: verdict, versions, time and link of each, and which are missing."""
    from datetime import UTC, datetime

    from monitoring.reports_index import write_index

    console.print(write_index(Workspace.from_env().reports, now=datetime.now(UTC)), soft_wrap=True)


@app.command()
def simulator_report(
    seed: Annotated[int, typer.Option(min=0, help="Of the simulated worlds.")] = 1,
) -> None:
    """Compare a simulated log with the workspace's, and show popularity feedback; writes simulator.html and .json."""
    from monitoring.simulator.report import write_report
    from monitoring.simulator.report_table import distance_table, feedback_table

    workspace = Workspace.from_env()
    with console.status("simulating") as status:
        report = write_report(workspace, seed=seed, now=datetime.now(UTC), on_stage=status.update)
    console.print(distance_table(report))
    console.print(feedback_table(report))
    console.print(f"wrote {workspace.reports / 'simulator.html'}", soft_wrap=True)


@app.command()
def retrain(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and start nothing.")] = False,
) -> None:
    """Start the training of a challenger where drift, skew, age or the online metric asks for one; at most so often."""
    from datetime import UTC, datetime

    from monitoring.retraining.look import retrain_workspace
    from monitoring.retraining.policy import RetrainingPolicy
    from monitoring.retraining.table import retraining_lines

    outcome = retrain_workspace(Workspace.from_env(), RetrainingPolicy(), now=datetime.now(UTC), dry_run=dry_run)
    for line in retraining_lines(outcome, dry_run=dry_run):
        console.print(line, soft_wrap=True)


@app.command()
def retain(
    days: Annotated[float, typer.Option(help="What is older than so many days goes.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count what would go, and remove nothing.")] = False,
) -> None:
    """Remove old events, received events, logs and reports; every removal is on record before it happens."""
    from datetime import UTC, datetime

    from monitoring.privacy.retain import retain as remove_old
    from monitoring.privacy.table import retention_lines

    report = remove_old(Workspace.from_env(), days=days, now=datetime.now(UTC), dry_run=dry_run)
    for line in retention_lines(report):
        console.print(line, soft_wrap=True)


@app.command()
def popularity(
    epsilon: Annotated[float, typer.Option(help="What one release may tell about a person.")] = 1.0,
    days: Annotated[float, typer.Option(help="Days of events, up to UNTIL.")] = 30.0,
    until: Annotated[str | None, typer.Option(help="ISO 8601 with a zone; now, where none is named.")] = None,
) -> None:
    """Write differentially private counts of the people who met each item; every release is taken off the budget."""
    from datetime import UTC, datetime

    from feature_repo.dataset.split import parse_moment
    from monitoring.privacy.popularity import PublicationPolicy, publish_popularity
    from monitoring.privacy.table import popularity_lines

    policy = PublicationPolicy(epsilon=epsilon, days=days)
    end = parse_moment(until, option="UNTIL", words="now") if until else None
    for line in popularity_lines(publish_popularity(Workspace.from_env(), policy, now=datetime.now(UTC), until=end)):
        console.print(line, soft_wrap=True)


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
