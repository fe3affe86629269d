"""What a run in MLflow says of a version: its metrics, parameters and data."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Metric, Param

from feature_repo.dataset.report import markdown_of, metrics_of
from training.bundle import Manifest


def log_run(
    client: MlflowClient,
    run_id: str,
    manifest: Manifest,
    parameters: Mapping[str, object],
    history: Mapping[str, list[tuple[int, float]]],
) -> None:
    """`history` holds (step, value) by metric."""
    now = int(datetime.now(UTC).timestamp() * 1000)
    final = [Metric(name, value, now, 0) for name, value in manifest.metrics.items()]
    steps = [Metric(name, value, now, step) for name, points in history.items() for step, value in points]
    logged = {
        **parameters,
        "dataset": manifest.dataset,
        "data_fingerprint": manifest.data_fingerprint,
        "window_start": manifest.window_start,
        "window_end": manifest.window_end,
        "feature_services": ",".join(manifest.feature_services),
    }
    client.log_batch(run_id, metrics=final + steps, params=[Param(k, str(v)) for k, v in logged.items()])


def log_data(client: MlflowClient, run_id: str, data: Mapping[str, Any]) -> None:
    """What was read, kept and refused, as metrics to compare runs by and as a table to read."""
    now = int(datetime.now(UTC).timestamp() * 1000)
    client.log_batch(run_id, metrics=[Metric(name, value, now, 0) for name, value in metrics_of(data).items()])
    client.log_text(run_id, markdown_of(data), "reports/data.md")
