"""Reports of the workspace: what speaks of the person, of their events or of a retired version is made again."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from feature_repo.core.workspace import Workspace
from training.erase.arrow import rewrite_without
from training.erase.person import Person
from training.erase.stores import count_below

CURRENT = "current-"
# Averages over requests, the person's among them: names, and how the names of experiments begin.
OVER_EVENTS = frozenset({"evaluation", "drift", "fairness", "skew", "business"})
OF_EXPERIMENTS = ("experiment-", "offpolicy-")
VERSION_KEYS = ("champion", "challenger", "previous")


@dataclass(frozen=True)
class Reports:
    """`reports`; a report is the files of one name. `known_versions` tells which versions there still are."""

    workspace: Workspace
    person: Person
    known_versions: Callable[[], set[str]]
    name: str = "reports"

    @property
    def roots(self) -> tuple[Path, ...]:
        return (self.workspace.reports,)

    def find(self) -> int:
        return count_below(self.roots, self.person)

    def erase(self) -> int:
        known, removed = self.known_versions(), 0
        for name, files in sorted(_by_name(self.workspace.reports).items()):
            if name.startswith(CURRENT) and name.removeprefix(CURRENT) in known:
                removed += sum(rewrite_without(file, self.person) for file in files)
            elif name.startswith(CURRENT) or self._must_go(name, files, known):
                for file in files:
                    file.unlink()
                removed += len(files)
        return removed

    def _must_go(self, name: str, files: list[Path], known: set[str]) -> bool:
        if name in OVER_EVENTS or name.startswith(OF_EXPERIMENTS) or count_below(files, self.person):
            return True
        return any(_versions_in(file) - known for file in files if file.suffix == ".json")


def _by_name(folder: Path) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for file in folder.glob("[!.]*.*"):
        found.setdefault(file.name.split(".")[0], []).append(file)
    return found


def _versions_in(file: Path) -> set[str]:
    try:
        report: Any = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        return set()
    named = {report.get(key) for key in VERSION_KEYS} if isinstance(report, dict) else set()
    return {version for version in named if isinstance(version, str)}
