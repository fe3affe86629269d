"""The edge: reports, registry and logs read for their signals, and the command put together for this machine."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from feature_repo.core.errors import MissingArtifact
from feature_repo.core.workspace import Workspace
from monitoring.retraining.job import Outcome, last_start, retrain
from monitoring.retraining.online import answered, online_signal
from monitoring.retraining.policy import DRIFT, SKEW, RetrainingPolicy
from monitoring.retraining.signals import Signal, age_signal, report_signal
from monitoring.retraining.trainer import LocalTrainer, Trainer


def retrain_workspace(
    workspace: Workspace,
    policy: RetrainingPolicy,
    *,
    now: datetime,
    trainer: Callable[[datetime], Trainer] | None = None,
    dry_run: bool = False,
) -> Outcome:
    """Decide by the workspace's own reports, registry and logs; `trainer` is this machine's, unless one is given."""
    from training.registry import version_of_alias

    local = LocalTrainer(workspace)
    return retrain(
        workspace,
        policy,
        lambda: signals_of(workspace, policy, now=now),
        trainer=trainer or (lambda _: local),
        newest=lambda: version_of_alias(workspace, "challenger"),
        now=now,
        dry_run=dry_run,
    )


def signals_of(workspace: Workspace, policy: RetrainingPolicy, *, now: datetime) -> tuple[Signal, ...]:
    """Every signal about the champion.

    Raises:
        MissingArtifact: no version is champion.
    """
    from training.registry import MODEL, connect, version_of_alias

    champion = version_of_alias(workspace, "champion")
    if champion is None:
        raise MissingArtifact("no version is champion, so there is none to replace: run `make train` first")
    created = connect(workspace).get_model_version(MODEL, champion).creation_timestamp
    since = last_start(workspace)
    reports = (
        report_signal(
            name,
            read_report(workspace.reports / f"{name}.json"),
            policy,
            champion=champion,
            since=since,
            now=now,
        )
        for name in (DRIFT, SKEW)
    )
    window = timedelta(hours=policy.attribution_hours)
    return (
        *reports,
        age_signal(datetime.fromtimestamp(created / 1000, UTC), policy, now=now),
        online_signal(answered(workspace, champion, window=window), policy, now=now),
    )


def read_report(path: Path) -> Mapping[str, Any] | None:
    """A report, None where it is not there or is none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
