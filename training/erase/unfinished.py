"""Which erasures have begun and not ended: a mark for each, so that the same command after a kill does all of it again.

After a kill most stores no longer show that there was anything to do, and what follows from them may still be undone.
"""

import os
from pathlib import Path

from feature_repo.core.workspace import Workspace

PREFIX = "erasing-"


def begun(workspace: Workspace) -> list[str]:
    """Keyed hashes of the people whose erasure has not ended."""
    return sorted(mark.name.removeprefix(PREFIX) for mark in workspace.store.glob(f"{PREFIX}*"))


def begin(workspace: Workspace, keyed_hash: str) -> None:
    """On disk before this returns."""
    _mark(workspace, keyed_hash).touch()
    _sync(workspace.store)


def end(workspace: Workspace, keyed_hash: str) -> None:
    _mark(workspace, keyed_hash).unlink(missing_ok=True)
    _sync(workspace.store)


def _mark(workspace: Workspace, keyed_hash: str) -> Path:
    return workspace.store / f"{PREFIX}{keyed_hash}"


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
