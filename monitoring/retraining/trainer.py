"""Where trainings run: the port, and the one that starts a process on this machine.

The process goes on when its starter ends. It holds a lock in a folder of its own while it runs and leaves its outcome
there, so whoever asks later, from another process, learns how it went.
"""

import hashlib
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from filelock import FileLock, Timeout

from feature_repo.core.errors import RecommenderError
from feature_repo.core.workspace import Workspace
from monitoring.retraining.run_training import BEGUN, LOCK, OUTCOME

RUNNING, COMPLETE, FAILED = "running", "complete", "failed"
COMMAND = ("-m", "training", "train", "--window", "challenger")
PATIENCE = 60.0  # seconds for a process to begin


class TrainingNotStarted(RecommenderError):
    """No process began to train."""


class Trainer(Protocol):
    """Starts trainings and tells how they went."""

    def start(self, reason: str) -> str:
        """Start the training of this reason and return its name; asked again, it is the same training."""

    def outcome(self, name: str) -> str:
        """running, complete or failed."""


class LocalTrainer:
    """Trains in a process of this machine, with the Python of this one."""

    def __init__(
        self, workspace: Workspace, command: Sequence[str] = COMMAND, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._workspace = workspace
        self._command = command
        self._clock = clock

    def start(self, reason: str) -> str:
        """Returns once the process has begun.

        Raises:
            TrainingNotStarted: it did not, within a minute.
        """
        name = hashlib.sha256(reason.encode()).hexdigest()[:16]
        folder = self._folder(name)
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / OUTCOME).exists() or self._runs(folder):
            return name
        (folder / BEGUN).unlink(missing_ok=True)
        self._spawn(folder)
        until = self._clock() + PATIENCE
        while not ((folder / BEGUN).exists() or (folder / OUTCOME).exists()):
            if self._clock() > until:
                raise TrainingNotStarted(f"no training began within {PATIENCE:g} s; {folder / 'training.log'} says why")
            time.sleep(0.02)
        return name

    def outcome(self, name: str) -> str:
        """`failed` where the process was killed, too: it holds no lock and left no outcome."""
        folder = self._folder(name)
        # In this order: a process writes its outcome before it lets the lock go.
        if self._runs(folder):
            return RUNNING
        try:
            status = json.loads((folder / OUTCOME).read_text(encoding="utf-8"))["exit_status"]
        except (OSError, ValueError, KeyError):
            return FAILED
        return COMPLETE if status == 0 else FAILED

    def _folder(self, name: str) -> Path:
        return self._workspace.root / "retraining" / name

    def _runs(self, folder: Path) -> bool:
        if not folder.is_dir():
            return False
        try:
            with FileLock(folder / LOCK, timeout=0):
                return False
        except Timeout:
            return True

    def _spawn(self, folder: Path) -> None:
        log = os.open(folder / "training.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            module = ("-m", "monitoring.retraining.run_training", str(folder))
            os.posix_spawn(
                sys.executable,
                [sys.executable, *module, sys.executable, *self._command],
                {**os.environ, "BUILD": str(self._workspace.root), "STORE_URL": str(self._workspace.store)},
                file_actions=[(os.POSIX_SPAWN_DUP2, log, 1), (os.POSIX_SPAWN_DUP2, log, 2)],
                setsid=True,
            )
        finally:
            os.close(log)
