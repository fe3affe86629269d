"""`python -m training search`: one search in a workspace, from its lock to its report."""

import hashlib
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import optuna
from filelock import FileLock, Timeout
from optuna.trial import TrialState

from feature_repo.core.errors import MissingArtifact
from feature_repo.core.workspace import Workspace, read_json, write_json
from training.search.objective import METRIC, two_stage
from training.search.search import Budget, Tried, search
from training.search.space import SPACE, settings_with
from training.search.study import best, open_study
from training.search.tracking import Tracked, track
from training.settings import TrainingSettings

REPORT = "search.json"


def run_search(
    workspace: Workspace,
    base: TrainingSettings,
    *,
    end: datetime,
    budget: Budget,
    on_trial: Callable[[Tried], None],
) -> dict[str, Any]:
    """Search settings on the window that ends at `end`; the same data, window and space go on where they stopped.

    Raises:
        MissingArtifact: another search runs in this workspace, or no trial has come to its end.
    """
    fingerprint = read_json(workspace.reports / "data.json", made_by="make data")["fingerprint"]
    folder = workspace.root / "search"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / "search.lock", timeout=0):
            study = open_study(f"sqlite:///{folder / 'study.db'}", study_name(fingerprint, end, base))
            tags = {"data_fingerprint": str(fingerprint), "window_end": end.isoformat()}
            tracked = track(workspace, study, metric=METRIC, tags=tags)
            search(
                study,
                two_stage(workspace, end=end, folder=folder / "trial.partial"),
                base=base,
                space=SPACE,
                budget=budget,
                seed=base.seed,
                clock=time.monotonic,
                watcher=_Both(tracked, on_trial),
            )
            report = {**report_of(study, base), **tags}
            write_json(workspace.reports / REPORT, report)
            tracked.close(workspace.reports / REPORT)
            return report
    except Timeout:
        raise MissingArtifact(f"another search runs in {workspace.root}: wait for it to end") from None


def study_name(fingerprint: str, end: datetime, base: TrainingSettings) -> str:
    """The same name means the same question: data, window, space and the settings that are not searched."""
    text = f"{fingerprint} {end.isoformat()} {SPACE} {base.model_dump_json()}"
    return f"{end.date().isoformat()}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def report_of(study: optuna.Study, base: TrainingSettings) -> dict[str, Any]:
    """The best settings found, and every trial.

    Raises:
        MissingArtifact: no trial has come to its end.
    """
    found = best(study)
    if found is None:
        raise MissingArtifact(
            f"a search needs one complete trial; study {study.study_name} has none of {len(study.trials)}: "
            "give it more minutes"
        )
    waiting = (TrialState.WAITING, TrialState.RUNNING)
    return {
        "study": study.study_name,
        "metric": METRIC,
        "value": found.value,
        "trial": found.number,
        "values": found.params,
        "settings": settings_with(base, found.params).model_dump(mode="json"),
        "trials": [_trial(trial) for trial in study.trials if trial.state not in waiting],
    }


def _trial(trial: optuna.trial.FrozenTrial) -> dict[str, Any]:
    seconds = trial.duration.total_seconds() if trial.duration else None
    state = trial.state.name.lower()
    return {
        "number": trial.number,
        "state": trial.user_attrs.get("ended", state),
        "value": trial.value if trial.state == TrialState.COMPLETE else None,
        "seconds": seconds,
        "values": trial.params,
    }


class _Both:
    """MLflow, and whoever draws the progress bar."""

    def __init__(self, tracked: Tracked, on_trial: Callable[[Tried], None]) -> None:
        self._tracked, self._on_trial = tracked, on_trial

    def ended(self, tried: Tried) -> None:
        self._tracked.ended(tried)
        self._on_trial(tried)
