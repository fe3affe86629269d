"""Slates that were made for all users at once."""

from dataclasses import dataclass
from pathlib import Path

from feature_repo.core.workspace import Workspace
from training.erase.arrow import rewrite_without
from training.erase.person import Person
from training.erase.stores import count_below


@dataclass(frozen=True)
class Slates:
    """`store/slates`: one row a user, under the id, since mails go to people."""

    workspace: Workspace
    person: Person
    name: str = "batch slates"

    @property
    def roots(self) -> tuple[Path, ...]:
        return (self.workspace.slates,)

    def find(self) -> int:
        return count_below(self.roots, self.person)

    def erase(self) -> int:
        return sum(rewrite_without(file, self.person) for file in sorted(self.roots[0].glob("*/*.parquet")))
