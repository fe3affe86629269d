"""The person to erase, in every form in which a file may name them."""

import html
import json
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote

SHORTEST_DISTINCTIVE = 6  # characters


@dataclass(frozen=True)
class Person:
    """Who is erased. `keyed_hash` is the tombstone's, and the only name that a report or a log may carry.

    `distinctive`: wherever the id stands, it means this person. Otherwise only columns and keys that hold users count.
    `pseudonym` is the request log's name for them, empty where no log was ever written; it is always distinctive.
    """

    user_id: str
    keyed_hash: str
    distinctive: bool
    pseudonym: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """What a column of users may call this person."""
        return (self.user_id, self.pseudonym) if self.pseudonym else (self.user_id,)

    @property
    def anywhere(self) -> tuple[str, ...]:
        """The names that mean this person wherever they stand."""
        return self.names if self.distinctive else self.names[1:]

    def is_user(self, text: object) -> bool:
        """Whether a value of a column or key that holds users is this person."""
        return text in self.names

    def is_named_in(self, text: object) -> bool:
        """Whether any text names this person; only a distinctive id can be told from other words."""
        return isinstance(text, str) and any(name in text for name in self.anywhere)

    @property
    def raw_forms(self) -> tuple[bytes, ...]:
        """The bytes to look for in files of any kind; of an id that is not distinctive, the pseudonym alone."""
        forms = [(name, json.dumps(name)[1:-1], html.escape(name), quote(name)) for name in self.anywhere]
        return tuple(dict.fromkeys(form.encode() for of_name in forms for form in of_name))


def is_distinctive(user_id: str, other_ids: Iterable[str | None]) -> bool:
    """Whether the id is long enough, more than digits, and no part of another id."""
    if len(user_id) < SHORTEST_DISTINCTIVE or user_id.isdigit():
        return False
    return not any(other and user_id in other and other != user_id for other in other_ids)
