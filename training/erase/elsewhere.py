"""Every other file of the workspace: searched, so that the report speaks of all of it."""

from dataclasses import dataclass
from pathlib import Path

from feature_repo.core.workspace import Workspace
from training.erase.person import Person
from training.erase.search import files_below
from training.erase.stores import count_below


@dataclass(frozen=True)
class Elsewhere:
    """What is in none of the folders `covered`. Nothing here is known to hold a person, so nothing is removed."""

    workspace: Workspace
    person: Person
    covered: tuple[Path, ...]
    name: str = "any other file"

    @property
    def roots(self) -> tuple[Path, ...]:
        files = files_below((self.workspace.root, self.workspace.store))
        return tuple(file for file in files if not any(file.is_relative_to(folder) for folder in self.covered))

    def find(self) -> int:
        return count_below(self.roots, self.person)

    def erase(self) -> int:
        return 0
