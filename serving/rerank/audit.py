"""The audit log of the rules: one JSON line for each change of the file, only ever appended to."""

import json
import os
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path


@dataclass(frozen=True)
class RulesChange:
    """A file that was found: when, its SHA-256, "applied" or "refused", and why."""

    when: datetime
    sha256: str
    outcome: str
    sentence: str


def append(path: Path, change: RulesChange) -> None:
    """Add one line, on disk before this returns; processes that share the file do not mix their lines.

    Raises:
        OSError: the line cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps({**asdict(change), "when": change.when.isoformat()}, ensure_ascii=False) + "\n"
    log = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(log, line.encode())
        os.fsync(log)
    finally:
        os.close(log)


def read_audit(path: Path) -> list[RulesChange]:
    """Every change on record, oldest first; a last line that a crash cut short is left out."""
    if not path.exists():
        return []
    whole, _, _ = path.read_text(encoding="utf-8").rpartition("\n")
    changes = [json.loads(line) for line in whole.splitlines()]
    return [RulesChange(**{**change, "when": datetime.fromisoformat(change["when"])}) for change in changes]
