"""The port of everything that may hold a person."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from training.erase.person import Person
from training.erase.search import places_below


class Store(Protocol):
    """A place where the person may be. Both methods are safe to repeat."""

    @property
    def name(self) -> str:
        """What a reader of the report calls it."""

    @property
    def roots(self) -> tuple[Path, ...]:
        """The files and folders that it is in; none for a server."""

    def find(self) -> int:
        """Search all of it; how many places name the person."""

    def erase(self) -> int:
        """Remove the person; how many rows, keys, files or versions were removed."""


def count_below(roots: Sequence[Path], person: Person) -> int:
    """How many places of the files under `roots` name the person."""
    return sum(places_below(roots, person).values())
