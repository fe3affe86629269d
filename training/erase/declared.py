"""What people declared that they like."""

from dataclasses import dataclass
from pathlib import Path

from feature_repo.core.workspace import Workspace
from training.erase.person import Person
from training.erase.search import places_in
from training.erase.stores import count_below


@dataclass(frozen=True)
class Declared:
    """`store/preferences`: a small file for each person, which names them."""

    workspace: Workspace
    person: Person
    name: str = "declared preferences"

    @property
    def roots(self) -> tuple[Path, ...]:
        return (self.workspace.store / "preferences",)

    def find(self) -> int:
        return count_below(self.roots, self.person)

    def erase(self) -> int:
        mine = [file for file in sorted(self.roots[0].glob("*/*.json")) if places_in(file, self.person)]
        for file in mine:
            file.unlink()
        return len(mine)
