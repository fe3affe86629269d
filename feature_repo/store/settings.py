"""feature_store.yaml with its embedded files where the workspace has them; reading it does not import Feast."""

from pathlib import Path
from typing import Any

import yaml

from feature_repo.core.workspace import Workspace

REPO = Path(__file__).resolve().parents[1]


def store_settings(workspace: Workspace) -> dict[str, Any]:
    """The settings of Feast's RepoConfig for `workspace`."""
    settings: dict[str, Any] = yaml.safe_load((REPO / "feature_store.yaml").read_text(encoding="utf-8"))
    settings["registry"]["path"] = str(workspace.feast_registry)
    if settings["online_store"]["type"] == "sqlite":
        settings["online_store"]["path"] = str(workspace.feast_online)
    return settings
