"""Copies that are made again when they are needed: downloads, built Bentos, logs of releases, what a kill left."""

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from feature_repo.core.workspace import Workspace
from training.erase.person import Person
from training.erase.search import files_below
from training.erase.stores import count_below

# A file that a running process is writing is younger; it is searched, and found, by the next run.
LEFTOVER = timedelta(seconds=60)


@dataclass(frozen=True)
class Copies:
    """`downloads`, `bentoml`, `logs` and partial files anywhere in the workspace."""

    workspace: Workspace
    person: Person
    now: datetime
    name: str = "downloads, logs, leftovers"

    @property
    def roots(self) -> tuple[Path, ...]:
        root = self.workspace.root
        return (root / "downloads", root / "bentoml", root / "logs")

    def find(self) -> int:
        return count_below(self.roots, self.person)

    def erase(self) -> int:
        downloads, bentos, logs = self.roots
        built = [folder for folder in bentos.glob("bentos/*/*") if count_below([folder], self.person)]
        # Text of any form is not searched for an id that could be any word or number, so logs go in any case.
        gone = [*downloads.glob("*"), *built, *logs.glob("*"), *self._leftovers()]
        return sum(remove(path) for path in gone)

    def _leftovers(self) -> Iterable[Path]:
        oldest = (self.now - LEFTOVER).timestamp()
        for path in files_below((self.workspace.root, self.workspace.store)):
            partial = next((p for p in (path, *path.parents) if p.suffix == ".partial"), None)
            if partial and path.exists() and path.stat().st_mtime < oldest:
                yield partial


def remove(path: Path) -> int:
    """Remove a file or a folder; 1 where it was there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
        return 1
    existed = path.exists()
    path.unlink(missing_ok=True)
    return int(existed)
