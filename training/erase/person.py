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
    """

    user_id: str
    keyed_hash: str
    distinctive: bool

    def is_user(self, text: object) -> bool:
        """Whether a value of a column or key that holds users is this person."""
        return text == self.user_id

    def is_named_in(self, text: object) -> bool:
        """Whether any text names this person; only a distinctive id can be told from other words."""
        return self.distinctive and isinstance(text, str) and self.user_id in text

    @property
    def raw_forms(self) -> tuple[bytes, ...]:
        """The bytes to look for in files of any kind; none for an id that is not distinctive."""
        if not self.distinctive:
            return ()
        texts = (self.user_id, json.dumps(self.user_id)[1:-1], html.escape(self.user_id), quote(self.user_id))
        return tuple(dict.fromkeys(text.encode() for text in texts))


def is_distinctive(user_id: str, other_ids: Iterable[str | None]) -> bool:
    """Whether the id is long enough, more than digits, and no part of another id."""
    if len(user_id) < SHORTEST_DISTINCTIVE or user_id.isdigit():
        return False
    return not any(other and user_id in other and other != user_id for other in other_ids)
