"""`make apply`: run `feast apply` for any workspace."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from feature_repo.core.errors import StoreUnavailable
from feature_repo.core.workspace import Workspace, read_json, write_json
from feature_repo.store.pins import defined_features, read_pins, refuse_altered
from feature_repo.store.settings import REPO, store_settings


def apply_definitions(workspace: Workspace) -> bool:
    """Register the definitions with the feast command itself, so that both ways do the same.

    Returns False where these definitions of this data set are registered already.

    Raises:
        StoreUnavailable: a view that an aliased version reads would change; or feast refused, and what it said is on
            the screen.
    """
    workspace.root.mkdir(parents=True, exist_ok=True)
    applied = workspace.root / "applied.json"
    key = {"definitions": _fingerprint(workspace)}
    if workspace.feast_registry.exists() and applied.exists() and read_json(applied, made_by="make apply") == key:
        return False
    pins = read_pins(workspace)
    if pins:
        refuse_altered(pins, defined_features(_definitions()))
    applied.unlink(missing_ok=True)
    rendered = workspace.root / "feature_store.yaml"
    rendered.touch(mode=0o600)  # the addresses in it may hold passwords
    rendered.write_text(yaml.safe_dump(store_settings(workspace), sort_keys=False), encoding="utf-8")
    feast = Path(sys.executable).with_name("feast")
    done = subprocess.run(
        [str(feast), "--log-level", "error", "-c", str(REPO), "-f", str(rendered), "apply"],
        env={**os.environ, "BUILD": str(workspace.root), "STORE_URL": str(workspace.store)},
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    sys.stderr.writelines(_worth_reading(done.stderr))
    if done.returncode != 0:
        raise StoreUnavailable(f"feast apply ended with exit status {done.returncode}")
    write_json(applied, key)
    return True


def _definitions() -> dict[str, Any]:
    from feature_repo import definitions

    return vars(definitions)


def _fingerprint(workspace: Workspace) -> str:
    """SHA-256 over the stage's code and settings, the declared data set and where its tables are."""
    declared = workspace.events.with_name("dataset.json")
    # Before the first `make data` the definitions follow the data set that DATASET names.
    chosen = declared.read_text(encoding="utf-8") if declared.exists() else os.environ.get("DATASET")
    files = [*sorted(REPO.rglob("*.py")), *sorted(REPO.rglob("*.yaml"))]
    # Some online stores have tables, which feast makes.
    online = store_settings(workspace)["online_store"]["type"]
    digest = hashlib.sha256(f"{workspace.store} {chosen} {online}".encode())
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _worth_reading(said: str) -> list[str]:
    # On-demand views are marked experimental at every call; ours are tested against the functions that they wrap.
    experimental = ("On demand feature view is an experimental feature", "warnings.warn(")
    return [line for line in said.splitlines(keepends=True) if not any(text in line for text in experimental)]
