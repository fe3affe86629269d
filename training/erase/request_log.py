"""What the service wrote: requests with the features that they saw."""

from dataclasses import dataclass
from pathlib import Path

from feature_repo.core.workspace import Workspace
from training.erase.arrow import rewrite_without
from training.erase.person import Person
from training.erase.stores import count_below


@dataclass(frozen=True)
class RequestLog:
    """`store/request_log` and Feast's own log of the features: a person's rows stand under their pseudonym."""

    workspace: Workspace
    person: Person
    name: str = "request log"

    @property
    def roots(self) -> tuple[Path, ...]:
        return (self.workspace.request_log, self.workspace.served_features)

    def find(self) -> int:
        return count_below(self.roots, self.person)

    def erase(self) -> int:
        files = (file for root in self.roots for file in sorted(root.glob("*.parquet")))
        return sum(rewrite_without(file, self.person) for file in files)
