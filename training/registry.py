"""The edge to MLflow: runs, versions of the one registered model `recommender`, and its aliases.

An alias has no compare-and-set, so every move happens under one lock and checks what it expects to find there.
"""

import json
import logging
import os
import shutil
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from mlflow import MlflowClient
from mlflow.entities import Metric, Param
from mlflow.exceptions import MlflowException

from feature_repo.core.errors import MissingArtifact
from feature_repo.core.workspace import Workspace
from feature_repo.dataset.report import markdown_of, metrics_of
from feature_repo.store.pins import write_pins
from training.bundle import Manifest, read_manifest

MODEL = "recommender"
CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous"
BUNDLE = "bundle"
LOCK_SECONDS = 120


def connect(workspace: Workspace) -> MlflowClient:
    """A client of MLFLOW_TRACKING_URI, or of a SQLite database in the workspace."""
    _quiet_mlflow()
    uri = os.environ.get("MLFLOW_TRACKING_URI")
    if not uri:
        workspace.mlflow.mkdir(parents=True, exist_ok=True)
        uri = f"sqlite:///{workspace.mlflow / 'mlflow.db'}"
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def register(
    workspace: Workspace,
    folder: Path,
    *,
    key: str,
    parameters: Mapping[str, object],
    history: Mapping[str, list[tuple[int, float]]],
    data: Mapping[str, Any] | None = None,
    replaces: str | None = None,
) -> str:
    """Log a sealed bundle as a run, register it, give it the alias that is free for it; returns its version.

    The first version becomes champion; a later one becomes challenger; one that `replaces` a version takes all aliases
    of that one instead. `history` holds (step, value) by metric, `data` is what `make data` reported.
    """
    client = connect(workspace)
    manifest = read_manifest(folder)
    with alias_lock(workspace):
        run = client.create_run(
            _experiment(client, workspace), run_name=f"{manifest.dataset} {manifest.window_end[:10]}"
        )
        run_id = run.info.run_id
        _log(client, run_id, manifest, parameters, history)
        if data:
            _log_data(client, run_id, data)
        client.log_artifacts(run_id, str(folder), BUNDLE)
        _ensure_model(client)
        tags = {"data_fingerprint": manifest.data_fingerprint, "window_end": manifest.window_end}
        created = client.create_model_version(MODEL, f"{run.info.artifact_uri}/{BUNDLE}", run_id, tags=tags)
        client.set_terminated(run_id)
        version = str(created.version)
        given = _aliases_for(aliases(workspace), replaces)
        for alias in given:
            client.set_registered_model_alias(MODEL, alias, version)
        _pin_features(workspace)
        audit(
            workspace, {"event": "registered", "version": version, "alias": ", ".join(given), "in place of": replaces}
        )
        # Last: a version that was killed on its way here is not found by its key, and is trained again.
        client.set_model_version_tag(MODEL, version, "key", key)
    return version


def _aliases_for(now: Mapping[str, str], replaces: str | None) -> list[str]:
    if replaces is not None:
        return sorted(alias for alias, version in now.items() if version == replaces)
    return [CHALLENGER if CHAMPION in now else CHAMPION]


def version_with_key(workspace: Workspace, key: str) -> str | None:
    """The newest version that was trained from the same data, window and settings."""
    try:
        found = connect(workspace).search_model_versions(f"name = '{MODEL}'")
    except MlflowException:
        return None
    versions = [int(v.version) for v in found if v.tags.get("key") == key]
    return str(max(versions)) if versions else None


def aliases(workspace: Workspace) -> dict[str, str]:
    """Alias -> version; empty before the first registration."""
    try:
        model = connect(workspace).get_registered_model(MODEL)
    except MlflowException:
        return {}
    return {name: str(version) for name, version in model.aliases.items()}


def version_of_alias(workspace: Workspace, alias: str) -> str | None:
    return aliases(workspace).get(alias)


def compared_pair(now: Mapping[str, str]) -> tuple[str | None, str | None]:
    """The two versions that a release is about: champion and challenger, or, once decided, what they were before."""
    if CHALLENGER in now or PREVIOUS not in now:
        return now.get(CHAMPION), now.get(CHALLENGER)
    return now[PREVIOUS], now.get(CHAMPION)


def download_bundle(workspace: Workspace, version: str) -> Path:
    """The folder of a version's bundle in the workspace, fetched once, its hashes checked."""
    target = workspace.bundles / version
    if not target.exists():
        client = connect(workspace)
        try:
            run_id = str(client.get_model_version(MODEL, version).run_id)
        except MlflowException:
            raise MissingArtifact(f"the registry has no version {version!r} of {MODEL}: run `make train`") from None
        partial = workspace.bundles / f".{version}.{os.getpid()}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        Path(client.download_artifacts(run_id, BUNDLE, str(partial))).replace(target)
        shutil.rmtree(partial, ignore_errors=True)
    read_manifest(target)
    return target


def log_report(workspace: Workspace, version: str, *files: Path) -> None:
    """Attach report files to the run that made a version."""
    client = connect(workspace)
    run_id = client.get_model_version(MODEL, version).run_id
    for file in files:
        client.log_artifact(run_id, str(file), "reports")


def move_champion(workspace: Workspace, *, to: str, expected: str, reason: Mapping[str, Any]) -> None:
    """Make `to` the champion and `expected`, the champion so far, the previous one.

    Safe to repeat: killed between two moves, the same call completes them.

    Raises:
        MissingArtifact: another version became champion in the meantime.
    """
    client = connect(workspace)
    with alias_lock(workspace):
        now = aliases(workspace)
        if now.get(CHAMPION) not in (expected, to):
            raise MissingArtifact(f"expected version {expected} to be champion; it is {now.get(CHAMPION)}: decide anew")
        client.set_registered_model_alias(MODEL, PREVIOUS, expected)
        client.set_registered_model_alias(MODEL, CHAMPION, to)
        if now.get(CHALLENGER) == to:
            client.delete_registered_model_alias(MODEL, CHALLENGER)
        _pin_features(workspace)
        client.set_model_version_tag(MODEL, to, "promotion", json.dumps(reason, default=str))
        audit(workspace, {"event": "champion moved", "from": expected, "to": to, "reason": reason})


def _pin_features(workspace: Workspace) -> None:
    """Tell the feature store what the aliased versions read."""
    pinned = {}
    for alias, version in sorted(aliases(workspace).items()):
        manifest = read_manifest(download_bundle(workspace, version))
        pinned[f"{alias}, version {version},"] = {**manifest.user_features, **manifest.item_features}
    write_pins(workspace, pinned)


@contextmanager
def alias_lock(workspace: Workspace) -> Iterator[None]:
    """One mover at a time on this workspace."""
    workspace.mlflow.mkdir(parents=True, exist_ok=True)
    lock = FileLock(workspace.mlflow / "aliases.lock")
    try:
        lock.acquire(timeout=LOCK_SECONDS)
    except Timeout:
        raise MissingArtifact(f"the aliases are held by another process for over {LOCK_SECONDS} s") from None
    try:
        yield
    finally:
        lock.release()


def audit(workspace: Workspace, entry: Mapping[str, Any]) -> None:
    """Append one line to the audit log, on disk before this returns."""
    workspace.mlflow.mkdir(parents=True, exist_ok=True)
    with (workspace.mlflow / "audit.jsonl").open("a", encoding="utf-8") as log:
        log.write(json.dumps({"at": datetime.now(UTC).isoformat(), **entry}, default=str) + "\n")
        log.flush()
        os.fsync(log.fileno())


def _quiet_mlflow() -> None:
    """Keep migrations, progress bars and a deprecation between MLflow and SQLAlchemy off the screen."""
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message="The ``noload`` loader strategy is deprecated")


def _log(
    client: MlflowClient,
    run_id: str,
    manifest: Manifest,
    parameters: Mapping[str, object],
    history: Mapping[str, list[tuple[int, float]]],
) -> None:
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


def _log_data(client: MlflowClient, run_id: str, data: Mapping[str, Any]) -> None:
    """What was read, kept and refused, as metrics to compare runs by and as a table to read."""
    now = int(datetime.now(UTC).timestamp() * 1000)
    client.log_batch(run_id, metrics=[Metric(name, value, now, 0) for name, value in metrics_of(data).items()])
    client.log_text(run_id, markdown_of(data), "reports/data.md")


def _experiment(client: MlflowClient, workspace: Workspace) -> str:
    found = client.get_experiment_by_name(MODEL)
    if found:
        return str(found.experiment_id)
    location = None if os.environ.get("MLFLOW_TRACKING_URI") else (workspace.mlflow / "artifacts").as_uri()
    return str(client.create_experiment(MODEL, artifact_location=location))


def _ensure_model(client: MlflowClient) -> None:
    try:
        client.get_registered_model(MODEL)
    except MlflowException:
        client.create_registered_model(MODEL, description="Two-stage recommender bundles")
