"""What a search maximises: NDCG@10 of both stages on the requests that a run holds back from its own window."""

import shutil
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from feature_repo.core.workspace import Workspace
from training.pipeline import Progress, train
from training.search.search import Objective, Report
from training.settings import TrainingSettings

METRIC = "validation_ndcg_at_10"
# Metrics by which a trial may be pruned, with the stage and how many of its steps go by between two looks.
WATCHED: Mapping[str, tuple[int, int]] = {
    "tower_validation_ndcg_at_10": (0, 1),
    "ranker_validation_ndcg_at_10": (1, 10),
}


def two_stage(workspace: Workspace, *, end: datetime, folder: Path) -> Objective:
    """Train on events before `end` into `folder`, which is emptied before and after each trial.

    The held-out window, which begins at `end` or later, is never read.
    """

    def objective(settings: TrainingSettings, report: Report) -> float:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            manifest = train(workspace, settings, end=end, folder=folder, progress=progress_of(report))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return manifest.metrics[METRIC]

    return objective


def progress_of(report: Report) -> Progress:
    """Passes on the metrics of WATCHED at their steps, and every other sign that a trial works."""

    def metric(name: str, value: float, step: int) -> None:
        stage, every = WATCHED.get(name, (0, 0))
        if every and step % every == 0:
            report(stage, step, value)

    return Progress(stage=lambda _name, _total: report.tick(), advance=report.tick, metric=metric)
