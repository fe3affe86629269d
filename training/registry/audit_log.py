"""The audit log: one JSON object a line, appended and on disk before the next step, never changed."""

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from feature_repo.core.workspace import Workspace

AUDIT = "audit.jsonl"


def audit(workspace: Workspace, entry: Mapping[str, Any]) -> None:
    """Append one line, on disk before this returns."""
    workspace.mlflow.mkdir(parents=True, exist_ok=True)
    with (workspace.mlflow / AUDIT).open("a", encoding="utf-8") as log:
        log.write(json.dumps({"at": datetime.now(UTC).isoformat(), **entry}, default=str) + "\n")
        log.flush()
        os.fsync(log.fileno())


def audit_once(workspace: Workspace, entry: Mapping[str, Any], *, same: str) -> None:
    """Append one line unless there is one that has its event and its value of `same`: for a step that is done again."""
    if not any(line.get("event") == entry["event"] and line.get(same) == entry[same] for line in read_audit(workspace)):
        audit(workspace, entry)


def read_audit(workspace: Workspace) -> list[dict[str, Any]]:
    """All lines, oldest first. What a killed writer left of a line is left out."""
    path = workspace.mlflow / AUDIT
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines()
    return [entry for line in lines if (entry := _entry(line)) is not None]


def _entry(line: str) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except json.JSONDecodeError:
        return None
    return entry if isinstance(entry, dict) else None
