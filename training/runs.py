"""A training run as MLflow sees it: its key, its parameters, its bundle."""

import hashlib
import shutil
from datetime import datetime
from typing import Any

from filelock import FileLock, Timeout

from feature_repo.core.errors import MissingArtifact
from feature_repo.core.workspace import Workspace, read_json
from training import registry
from training.bundle import FORMAT, load_bundle
from training.pipeline import Progress, train
from training.ranking.logged import LogSource, log_fingerprint
from training.settings import TrainingSettings


def run_key(
    workspace: Workspace,
    settings: TrainingSettings,
    end: datetime,
    start_from: str | None = None,
    source: LogSource | None = None,
) -> str:
    """The same key means the same bundle: data, window, settings, format, the version it started from, the log."""
    fingerprint = read_json(workspace.reports / "data.json", made_by="make data")["fingerprint"]
    text = f"{FORMAT} {fingerprint} {end.isoformat()} {settings.model_dump_json()} {start_from or ''}"
    if source is not None:
        text = f"{text} {log_fingerprint(workspace, source)}"
    return hashlib.sha256(text.encode()).hexdigest()


def train_and_register(
    workspace: Workspace,
    settings: TrainingSettings,
    *,
    end: datetime,
    progress: Progress,
    history: dict[str, list[tuple[int, float]]],
    replaces: str | None = None,
    start_from: str | None = None,
    source: LogSource | None = None,
) -> str:
    """Train, register what came of it, in the place of the version `replaces` where there is one; returns the version.

    `start_from` is the version whose towers are to go on with the days since its window; with a `source` the ranker
    learns from the request log of that version.

    Raises:
        MissingArtifact: another run is training in this workspace.
    """
    workspace.root.mkdir(parents=True, exist_ok=True)
    folder = workspace.root / ".bundle.partial"
    try:
        with FileLock(workspace.root / "train.lock", timeout=0):
            # What a killed run left here goes first.
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            asked = start_from or _teacher(workspace, settings)
            champion = load_bundle(registry.download_bundle(workspace, asked)) if asked else None
            warm = start_from is not None
            train(
                workspace,
                settings,
                end=end,
                folder=folder,
                progress=progress,
                champion=champion,
                warm=warm,
                source=source,
            )
            key = run_key(workspace, settings, end, start_from, source)
            learnt_from = "stores" if source is None else f"request log of version {source.version}"
            parameters = {**_flat(settings.model_dump()), "start_from": start_from, "ranker_source": learnt_from}
            version = registry.register(
                workspace,
                folder,
                key=key,
                parameters=parameters,
                history=history,
                data=read_json(workspace.reports / "data.json", made_by="make data"),
                replaces=replaces,
            )
            shutil.rmtree(folder)
            return version
    except Timeout:
        raise MissingArtifact(f"another run is training in {workspace.root}: wait for it to end") from None


def _teacher(workspace: Workspace, settings: TrainingSettings) -> str | None:
    """The champion's version, where its order is to be kept."""
    if not settings.ranker.distillation:
        return None
    champion = registry.aliases(workspace).get(registry.CHAMPION)
    if champion is None:
        raise MissingArtifact("ranker.distillation keeps the champion's order, and no version is champion yet")
    return champion


def _flat(settings: dict[str, Any], prefix: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for name, value in settings.items():
        if isinstance(value, dict):
            flat.update(_flat(value, f"{prefix}{name}."))
        else:
            flat[f"{prefix}{name}"] = value
    return flat
