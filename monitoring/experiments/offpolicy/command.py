"""`python -m monitoring offpolicy`."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from feature_repo.core.console import console
from feature_repo.core.workspace import Workspace


def offpolicy(
    target: Annotated[
        Path,
        typer.Argument(
            metavar="TARGET",
            help="Parquet with request_id, position (from 1), item_id, probability: what the policy would show.",
        ),
    ],
    rewarded: Annotated[
        list[str] | None, typer.Option(help="An event type that counts as a click; may repeat.")
    ] = None,
    window_hours: Annotated[float, typer.Option(help="How long after its request an event still counts.")] = 24.0,
    least_effective: Annotated[float, typer.Option(help="Effective requests below which nothing is said.")] = 1_000.0,
    now: Annotated[
        str | None, typer.Option(help="The moment of the analysis, ISO 8601 with a zone; default: this one.")
    ] = None,
) -> None:
    """Estimate from the logged propensities what another policy would have earned on the requests that were served.

    Writes offpolicy-TARGET.json and .html into the reports. A log that cannot tell is INCONCLUSIVE, with the reason.
    """
    from monitoring.experiments.moment import moment_of
    from monitoring.experiments.offpolicy.job import Question, evaluate_target, screen
    from monitoring.experiments.offpolicy.support import OffPolicyPolicy

    at = moment_of(now) if now else datetime.now(UTC)
    question = Question(timedelta(hours=window_hours), tuple(rewarded or ("click",)))
    policy = OffPolicyPolicy(least_effective=least_effective)
    console.print(screen(evaluate_target(Workspace.from_env(), target, question, policy, now=at)))
