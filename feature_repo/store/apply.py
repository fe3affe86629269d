"""`make apply`: run `feast apply` for any workspace."""

import os
import subprocess
import sys
from pathlib import Path

import yaml

from feature_repo.core.errors import StoreUnavailable
from feature_repo.core.workspace import Workspace
from feature_repo.store.settings import REPO, store_settings


def apply_definitions(workspace: Workspace) -> None:
    """Register the definitions with the feast command itself, so that both ways do the same.

    Raises:
        StoreUnavailable: feast refused, or its registry cannot be written; what it said is on the screen.
    """
    workspace.root.mkdir(parents=True, exist_ok=True)
    rendered = workspace.root / "feature_store.yaml"
    rendered.write_text(yaml.safe_dump(store_settings(workspace), sort_keys=False), encoding="utf-8")
    feast = Path(sys.executable).with_name("feast")
    done = subprocess.run(
        [str(feast), "--log-level", "error", "-c", str(REPO), "-f", str(rendered), "apply"],
        env={**os.environ, "BUILD": str(workspace.root), "STORE_URL": str(workspace.store)},
        check=False,
    )
    if done.returncode != 0:
        raise StoreUnavailable(f"feast apply ended with exit status {done.returncode}")
