"""`python -m monitoring experiment`: plan, assign, analyse, record."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import typer

from feature_repo.core.console import console
from feature_repo.core.errors import MissingArtifact, NotMeasurable
from feature_repo.core.workspace import Workspace
from monitoring.experiments.interleaving.command import interleaved

app = typer.Typer(
    no_args_is_help=True,
    help="Plan an A/B experiment, deal users out to its variants, analyse it, and put the decision on record.",
)
app.command()(interleaved)
File = Annotated[Path, typer.Argument(metavar="FILE", help="The declaration, a YAML file; see `declaration.py`.")]


@app.command()
def plan(file: File) -> None:
    """Print how many users each variant needs for the declared effect, alpha and power.

    Where there is a request log, what it says of mean and spread stands beside what was declared.
    """
    from monitoring.experiments.baseline import baseline_of
    from monitoring.experiments.declaration import read_experiment
    from monitoring.experiments.job import logged_impressions
    from monitoring.experiments.plan import plan_of
    from monitoring.experiments.screen import baseline_line, plan_table

    experiment = read_experiment(file)
    console.print(plan_table(experiment, plan_of(experiment)))
    try:
        joined = logged_impressions(Workspace.from_env(), experiment, now=datetime.now(UTC))
        console.print(baseline_line(experiment, baseline_of(joined.impressions, experiment)))
    except (MissingArtifact, NotMeasurable) as error:
        console.print(f"the log has no baseline: {error}", markup=False)


@app.command()
def assign(
    file: File,
    user: Annotated[list[str] | None, typer.Argument(help="Ids of users.")] = None,
    strata: Annotated[
        Path | None,
        typer.Option(help="CSV with user_id, stratum: deals this list out, balanced within each stratum."),
    ] = None,
) -> None:
    """Print the variant of each user, under the key RECOMMENDER_ASSIGNMENT_KEY."""
    from feature_repo.core.assignment import assignment_key
    from monitoring.experiments.assign import read_strata, stratified, variant_of
    from monitoring.experiments.declaration import read_experiment

    experiment, key = read_experiment(file), assignment_key()
    dealt = {name: variant_of(name, experiment, key=key) for name in user or ()}
    dealt |= stratified(read_strata(strata), experiment, key=key) if strata else {}
    for name, variant in dealt.items():
        console.print(f"{name} {variant or 'takes no part'}", markup=False)


@app.command()
def analyse(
    file: File,
    now: Annotated[
        str | None, typer.Option(help="The moment of the analysis, ISO 8601 with a zone; default: this one.")
    ] = None,
) -> None:
    """Join request log and events, judge, and write experiment-NAME.json and .html into the reports."""
    from monitoring.experiments.job import analyse_file
    from monitoring.experiments.moment import moment_of
    from monitoring.experiments.screen import analysis_table

    at = moment_of(now) if now else datetime.now(UTC)
    console.print(analysis_table(analyse_file(Workspace.from_env(), file, now=at)))


@app.command()
def record(
    file: File,
    choice: Annotated[Literal["ship", "stop", "go on"], typer.Option(help="What was decided.")],
    by: Annotated[str, typer.Option(help="Who decided.")],
    because: Annotated[str, typer.Option(help="Why, in a sentence.")],
) -> None:
    """Put a decision on record: in the report, its page, and a line of STORE/audit/experiments.jsonl."""
    from monitoring.experiments.declaration import read_experiment
    from monitoring.experiments.record import record as put_on_record

    name, now = read_experiment(file).name, datetime.now(UTC)
    report = put_on_record(Workspace.from_env(), name, choice=choice, by=by, because=because, now=now)
    decision = report["decision"]
    console.print(f"{name}: {decision['choice']}, by {by}, on the verdict {decision['verdict']}", markup=False)
