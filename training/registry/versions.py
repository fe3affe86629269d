"""Versions of the one registered model: registered, found, fetched, reported on."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlflow.exceptions import MlflowException

from feature_repo.core.errors import MissingArtifact
from feature_repo.core.workspace import Workspace
from feature_repo.store.pins import write_pins
from training.bundle import read_manifest
from training.registry.alias_view import aliases, open_move
from training.registry.audit_log import audit
from training.registry.connection import connect, experiment
from training.registry.lock import alias_lock
from training.registry.names import BUNDLE, CHALLENGER, CHAMPION, MODEL, MoveRefused
from training.registry.run_facts import log_data, log_run


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

    Raises:
        MoveRefused: a version is to be replaced while a move of aliases is open.
    """
    manifest = read_manifest(folder)
    with alias_lock(workspace) as held:
        client = held.client
        if replaces is not None and (move := open_move(client)) is not None:
            raise MoveRefused(
                f"version {replaces} cannot be replaced while the {move.kind} of version {move.new} is open: "
                "run `make promote` to end it"
            )
        run = client.create_run(
            experiment(client, workspace), run_name=f"{manifest.dataset} {manifest.window_end[:10]}"
        )
        run_id = run.info.run_id
        log_run(client, run_id, manifest, parameters, history)
        if data:
            log_data(client, run_id, data)
        client.log_artifacts(run_id, str(folder), BUNDLE)
        tags = {"data_fingerprint": manifest.data_fingerprint, "window_end": manifest.window_end}
        created = client.create_model_version(MODEL, f"{run.info.artifact_uri}/{BUNDLE}", run_id, tags=tags)
        client.set_terminated(run_id)
        version = str(created.version)
        given = _aliases_for(aliases(workspace), replaces)
        for alias in given:
            held.check()
            client.set_registered_model_alias(MODEL, alias, version)
        pin_features(workspace)
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


def pin_features(workspace: Workspace) -> None:
    """Tell the feature store what the aliased versions read."""
    pinned = {}
    for alias, version in sorted(aliases(workspace).items()):
        manifest = read_manifest(download_bundle(workspace, version))
        pinned[f"{alias}, version {version},"] = {**manifest.user_features, **manifest.item_features}
    write_pins(workspace, pinned)
