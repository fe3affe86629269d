"""A client of MLflow: MLFLOW_TRACKING_URI (a server, or a database such as PostgreSQL), else SQLite in the workspace.

Artefacts go where MLFLOW_DEFAULT_ARTIFACT_ROOT says (`s3://bucket/folder`), a variable that MLflow's own server reads;
MLFLOW_S3_ENDPOINT_URL and AWS_* are MLflow's. Without it a server decides, and beside a database they stay in the
workspace, which is enough for one machine.
"""

import logging
import os
import warnings
from functools import lru_cache

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from feature_repo.core.workspace import Workspace
from training.registry.names import MODEL
from training.registry.postgres_lock import is_postgres, one_at_a_time

URI, ARTIFACTS = "MLFLOW_TRACKING_URI", "MLFLOW_DEFAULT_ARTIFACT_ROOT"
SCHEMA_LOCK = "recommender schema"


def connect(workspace: Workspace) -> MlflowClient:
    """A client of the registry; a new database gets its tables."""
    _quiet_mlflow()
    uri = tracking_uri(workspace)
    if is_postgres(uri):
        _make_tables(uri)
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def tracking_uri(workspace: Workspace) -> str:
    """Where the registry is."""
    uri = os.environ.get(URI)
    if uri:
        return uri
    workspace.mlflow.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{workspace.mlflow / 'mlflow.db'}"


def experiment(client: MlflowClient, workspace: Workspace) -> str:
    """The id of our experiment, made where there is none."""
    found = client.get_experiment_by_name(MODEL)
    if found:
        return str(found.experiment_id)
    try:
        return str(client.create_experiment(MODEL, artifact_location=_artifacts(workspace)))
    except MlflowException:
        made_by_another = client.get_experiment_by_name(MODEL)
        if made_by_another is None:
            raise
        return str(made_by_another.experiment_id)


def ensure_model(client: MlflowClient) -> None:
    """Register our model where there is none; another process may do so at the same moment."""
    try:
        client.get_registered_model(MODEL)
    except MlflowException:
        try:
            client.create_registered_model(MODEL, description="Two-stage recommender bundles")
        except MlflowException:
            # One of two that create it at once gets a violated constraint: it is there, or the error was another one.
            client.get_registered_model(MODEL)


@lru_cache(maxsize=8)
def _make_tables(uri: str) -> None:
    # MLflow makes its tables when a client opens an empty database; two at once violate each other's constraints.
    with one_at_a_time(uri, SCHEMA_LOCK, wait_seconds=120):
        MlflowClient(tracking_uri=uri, registry_uri=uri).search_registered_models(max_results=1)


def _artifacts(workspace: Workspace) -> str | None:
    root = os.environ.get(ARTIFACTS)
    if root:
        return f"{root.rstrip('/')}/{MODEL}"
    uri = tracking_uri(workspace)
    return None if uri.startswith("http") else (workspace.mlflow / "artifacts").as_uri()


def _quiet_mlflow() -> None:
    """Keep migrations, progress bars and a deprecation between MLflow and SQLAlchemy off the screen."""
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message="The ``noload`` loader strategy is deprecated")
