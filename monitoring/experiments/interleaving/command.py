"""`python -m monitoring experiment interleaved`."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from feature_repo.core.console import console
from feature_repo.core.workspace import Workspace


def interleaved(
    second: Annotated[str, typer.Argument(metavar="VERSION", help="The version that SERVE_INTERLEAVE named.")],
    rewarded: Annotated[
        list[str] | None, typer.Option(help="An event type that counts as a click; may repeat.")
    ] = None,
    window_hours: Annotated[float, typer.Option(help="How long after its request an event still counts.")] = 24.0,
    alpha: Annotated[float, typer.Option(help="The chance of a preference where there is none.")] = 0.05,
    now: Annotated[
        str | None, typer.Option(help="The moment of the analysis, ISO 8601 with a zone; default: this one.")
    ] = None,
) -> None:
    """Say which of two interleaved versions users prefer, by their clicks on the slates that were mixed.

    Writes experiment-interleaving-VERSIONS.json and .html into the reports. To be read once, at the end.
    """
    from monitoring.experiments.interleaving.job import judge_interleaving, screen
    from monitoring.experiments.moment import moment_of
    from monitoring.experiments.offpolicy.job import Question

    at = moment_of(now) if now else datetime.now(UTC)
    question = Question(timedelta(hours=window_hours), tuple(rewarded or ("click",)))
    console.print(screen(judge_interleaving(Workspace.from_env(), second, question, alpha=alpha, now=at)))
