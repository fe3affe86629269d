"""`python -m monitoring.retraining.run_training FOLDER COMMAND...`: one training in its folder, at most once.

Whoever holds the lock trains; whoever comes second, or finds an outcome, ends at once. Light on import, so that it has
begun before its starter has lost patience.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock, Timeout

LOCK, BEGUN, OUTCOME = "running.lock", "begun.json", "outcome.json"


def run(folder: Path, command: Sequence[str]) -> int:
    """Run `command` and write its exit status into `folder`; 0 where there is nothing to do."""
    try:
        with FileLock(folder / LOCK, timeout=0):
            if (folder / OUTCOME).exists():
                return 0
            _write(folder / BEGUN, {"pid": os.getpid()})
            status = subprocess.run(command, check=False).returncode
            _write(folder / OUTCOME, {"exit_status": status})
            return status
    except Timeout:
        return 0


def _write(path: Path, value: dict[str, int]) -> None:
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("w", encoding="utf-8") as file:
        json.dump(value, file)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


if __name__ == "__main__":
    raise SystemExit(run(Path(sys.argv[1]), sys.argv[2:]))
