"""Runs and versions whose bundle names the person: retrained where an alias needs them, then retired.

Runs are searched, and not only registered versions: one that was killed on its way to the registry has a bundle, too.
MLflow marks a deleted run and keeps its files, so the files are removed first.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlparse
from urllib.request import url2pathname

from mlflow import MlflowClient
from mlflow.entities import Run, ViewType
from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from feature_repo.core.errors import MissingArtifact
from feature_repo.core.workspace import Workspace
from training import registry
from training.erase.person import Person
from training.erase.retrain import Retrain
from training.erase.search import places_below
from training.erase.stores import count_below

RUNS_A_PAGE = 500


@dataclass(frozen=True)
class Versions:
    """The registry, the artefacts of its runs, and the bundles that were fetched from it."""

    workspace: Workspace
    person: Person
    retrain: Retrain
    name: str = "runs and versions"

    @property
    def roots(self) -> tuple[Path, ...]:
        return (self.workspace.mlflow, self.workspace.bundles)

    def find(self) -> int:
        found = count_below(self.roots, self.person)
        if not _is_remote():
            return found
        client = registry.connect(self.workspace)
        for run in _runs(client):
            with artifacts_of(client, run) as folder:
                found += count_below([folder], self.person)
        return found

    def erase(self) -> int:
        removed = 0
        if has_registry(self.workspace):
            client = registry.connect(self.workspace)
            held = [run for run in _runs(client) if self._is_held(client, run)]
            for version in (v for run in held for v in _versions_of(client, run)):
                self.retrain.in_place_of(version)
            for run in held:
                self._retire(client, run)
            removed = len(held)
        for folder in sorted(self.workspace.bundles.glob("*")):
            if count_below([folder], self.person):
                shutil.rmtree(folder)
        return removed

    def _is_held(self, client: MlflowClient, run: Run) -> bool:
        """Whether the run's bundle names the person. Reports that do are removed on the way."""
        with artifacts_of(client, run) as folder:
            places = [path.relative_to(folder) for path in places_below([folder], self.person)]
        if any(path.parts[0] == registry.BUNDLE for path in places):
            return True
        for path in places:
            _artifacts(client, run).delete_artifacts(path.as_posix())  # type: ignore[no-untyped-call]
        return False

    def _retire(self, client: MlflowClient, run: Run) -> None:
        with registry.alias_lock(self.workspace):
            now = registry.aliases(self.workspace)
            for version in _versions_of(client, run):
                if version in now.values():
                    raise MissingArtifact(f"version {version} was given an alias meanwhile: run the same command again")
                client.delete_model_version(registry.MODEL, version)
                shutil.rmtree(self.workspace.bundles / version, ignore_errors=True)
                entry = {"event": "retired", "version": version, "erased": self.person.keyed_hash}
                registry.audit(self.workspace, entry)
        _artifacts(client, run).delete_artifacts()  # type: ignore[no-untyped-call]
        if run.info.lifecycle_stage == "active":
            client.delete_run(run.info.run_id)


def has_registry(workspace: Workspace) -> bool:
    """Whether anything was ever registered; asking MLflow would make an empty registry."""
    return _is_remote() or (workspace.mlflow / "mlflow.db").exists()


def _is_remote() -> bool:
    return bool(os.environ.get("MLFLOW_TRACKING_URI"))


def known_versions(workspace: Workspace) -> set[str]:
    """The versions that the registry has."""
    if not has_registry(workspace):
        return set()
    found = registry.connect(workspace).search_model_versions(f"name = '{registry.MODEL}'")
    return {str(version.version) for version in found}


@contextmanager
def artifacts_of(client: MlflowClient, run: Run) -> Iterator[Path]:
    """A folder with the run's artefacts: their own where they are on this machine, else a copy."""
    uri = urlparse(run.info.artifact_uri)
    if uri.scheme in ("", "file"):
        yield Path(url2pathname(uri.path))
        return
    with TemporaryDirectory() as copy:
        if client.list_artifacts(run.info.run_id):
            client.download_artifacts(run.info.run_id, "", copy)
        yield Path(copy)


def _runs(client: MlflowClient) -> Iterator[Run]:
    """Every run, deleted ones too."""
    experiment = client.get_experiment_by_name(registry.MODEL)
    token: str | None = ""
    while experiment and token is not None:
        page = client.search_runs(
            [experiment.experiment_id], run_view_type=ViewType.ALL, max_results=RUNS_A_PAGE, page_token=token or None
        )
        yield from page
        token = page.token or None


def _versions_of(client: MlflowClient, run: Run) -> list[str]:
    found = client.search_model_versions(f"name = '{registry.MODEL}'")
    return [str(version.version) for version in found if version.run_id == run.info.run_id]


def _artifacts(client: MlflowClient, run: Run) -> ArtifactRepository:
    return get_artifact_repository(run.info.artifact_uri, tracking_uri=client.tracking_uri)
