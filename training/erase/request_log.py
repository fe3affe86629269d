"""What the service wrote: requests with the features that they saw."""

from dataclasses import dataclass
from pathlib import Path

from feature_repo.core.workspace import Workspace
from training.erase.arrow import rewrite_without
from training.erase.person import Person
from training.erase.stores import count_below


@dataclass(frozen=True)
class RequestLog:
    """`store/request_log`: a person's rows hold their features and what they were shown."""

    workspace: Workspace
    person: Person
    name: str = "request log"

    @property
    def roots(self) -> tuple[Path, ...]:
        return (self.workspace.request_log,)

    def find(self) -> int:
        return count_below(self.roots, self.person)

    def erase(self) -> int:
        return sum(rewrite_without(file, self.person) for file in sorted(self.roots[0].glob("*.parquet")))
