"""What releases on this machine left: clicks of the people who asked, and how each rollout went."""

from dataclasses import dataclass
from pathlib import Path

from feature_repo.core.workspace import Workspace
from training.erase.copies import remove
from training.erase.person import Person
from training.erase.stores import count_below


@dataclass(frozen=True)
class Rollouts:
    """`rollout`: the clicks stand under their requests, so nobody can tell whose they are, and all of them go.

    The state and the records of the last rollout are averages; they go where they name the person.
    """

    workspace: Workspace
    person: Person
    name: str = "rollouts"

    @property
    def roots(self) -> tuple[Path, ...]:
        return (self.workspace.root / "rollout",)

    def find(self) -> int:
        return count_below(self.roots, self.person)

    def erase(self) -> int:
        (folder,) = self.roots
        named = [file for file in folder.glob("*.json") if count_below([file], self.person)]
        return sum(remove(path) for path in (*folder.glob("clicks/*"), *named))
