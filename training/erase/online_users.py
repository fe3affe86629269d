"""The person's features in the online stores."""

from dataclasses import dataclass
from pathlib import Path

from training.erase.online import OnlineStore
from training.erase.person import Person


@dataclass(frozen=True)
class OnlineFeatures:
    """Every online store that the workspace has."""

    person: Person
    online: list[OnlineStore]
    name: str = "online store"

    @property
    def roots(self) -> tuple[Path, ...]:
        return tuple(file for store in self.online for file in store.files)

    def find(self) -> int:
        return sum(store.count(self.person) for store in self.online)

    def erase(self) -> int:
        return sum(store.delete(self.person.user_id) for store in self.online)
