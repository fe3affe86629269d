"""The edge to MLflow: a study is a run, each of its trials a run nested in it."""

import os
import time
from collections.abc import Mapping
from pathlib import Path

import optuna
from mlflow import MlflowClient
from mlflow.entities import Metric, Param
from mlflow.exceptions import MlflowException

from feature_repo.core.workspace import Workspace
from training.registry import connect
from training.search.search import Tried

EXPERIMENT = "recommender-search"
RUN = "mlflow_run"  # the study's attribute that names its run
STAGES = ("tower", "ranker")
STATUS = {"complete": "FINISHED", "pruned": "FINISHED", "stopped": "KILLED", "failed": "FAILED"}


class Tracked:
    """Logs each trial under the run of its study."""

    def __init__(self, client: MlflowClient, run_id: str, metric: str) -> None:
        self._client = client
        self.run_id = run_id
        self._metric = metric

    def ended(self, tried: Tried) -> None:
        parent = self._client.get_run(self.run_id).info
        now = int(time.time() * 1000)
        tags = {"mlflow.parentRunId": self.run_id, "state": tried.state}
        run = self._client.create_run(
            parent.experiment_id,
            run_name=f"trial {tried.number}",
            tags=tags,
            start_time=now - int(tried.seconds * 1000),
        )
        points = [Metric(f"{STAGES[stage]}_{self._metric}", v, now, step) for stage, step, v in tried.reported]
        if tried.value is not None:
            points.append(Metric(self._metric, tried.value, now, 0))
            self._client.log_metric(self.run_id, self._metric, tried.value, step=tried.number)
        params = [Param(name, str(value)) for name, value in tried.values.items()]
        self._client.log_batch(run.info.run_id, metrics=points, params=params)
        self._client.set_terminated(run.info.run_id, STATUS[tried.state])

    def close(self, report: Path) -> None:
        """Attach the search's report to the study's run and end that."""
        self._client.log_artifact(self.run_id, str(report), "reports")
        self._client.set_terminated(self.run_id)


def track(workspace: Workspace, study: optuna.Study, *, metric: str, tags: Mapping[str, str]) -> Tracked:
    """The run of a study: a new one, or the one that an earlier call began."""
    client = connect(workspace)
    run_id = study.user_attrs.get(RUN)
    if run_id is None or not _exists(client, run_id):
        experiment = client.get_experiment_by_name(EXPERIMENT)
        number = experiment.experiment_id if experiment else _create(client, workspace)
        run_id = client.create_run(number, run_name=study.study_name, tags=dict(tags)).info.run_id
        study.set_user_attr(RUN, run_id)
    client.update_run(run_id, status="RUNNING")
    return Tracked(client, run_id, metric)


def _exists(client: MlflowClient, run_id: str) -> bool:
    try:
        return client.get_run(run_id).info.lifecycle_stage == "active"
    except MlflowException:
        return False


def _create(client: MlflowClient, workspace: Workspace) -> str:
    location = None if os.environ.get("MLFLOW_TRACKING_URI") else (workspace.mlflow / "artifacts").as_uri()
    return str(client.create_experiment(EXPERIMENT, artifact_location=location))
