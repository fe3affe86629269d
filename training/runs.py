"""A training run as MLflow sees it: its key, its parameters, its bundle."""

import hashlib
from datetime import datetime
from pathlib import Path
from typing import Any

from feature_repo.core.workspace import Workspace, read_json
from training import registry
from training.bundle import FORMAT
from training.pipeline import Progress, train
from training.settings import TrainingSettings


def run_key(workspace: Workspace, settings: TrainingSettings, end: datetime) -> str:
    """The same key means the same bundle: data, window, settings and format."""
    fingerprint = read_json(workspace.reports / "data.json", made_by="make data")["fingerprint"]
    text = f"{FORMAT} {fingerprint} {end.isoformat()} {settings.model_dump_json()}"
    return hashlib.sha256(text.encode()).hexdigest()


def train_and_register(
    workspace: Workspace,
    settings: TrainingSettings,
    *,
    end: datetime,
    folder: Path,
    progress: Progress,
    history: dict[str, list[tuple[int, float]]],
) -> str:
    """Train into the empty `folder`, register what came of it; returns the version."""
    train(workspace, settings, end=end, folder=folder, progress=progress)
    return registry.register(
        workspace,
        folder,
        key=run_key(workspace, settings, end),
        parameters=_flat(settings.model_dump()),
        history=history,
    )


def _flat(settings: dict[str, Any], prefix: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for name, value in settings.items():
        if isinstance(value, dict):
            flat.update(_flat(value, f"{prefix}{name}."))
        else:
            flat[f"{prefix}{name}"] = value
    return flat
