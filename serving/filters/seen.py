"""What a user has seen: a port, and the exact set behind it. A Bloom filter is in bloom.py."""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import numpy as np

from feature_repo.store.item_table import ItemTable

Array = np.ndarray[Any, Any]


class Seen(Protocol):
    """One user's seen items."""

    def unseen(self, item_ids: Array) -> Array:
        """Bool [n] for ids [n]: True only for an item that this user has certainly not seen."""


class ExactSeen:
    """The set itself: no errors; memory and time grow with the history."""

    def __init__(self, item_ids: Iterable[str]) -> None:
        self._ids = frozenset(item_ids)

    def unseen(self, item_ids: Array) -> Array:
        return np.fromiter((item not in self._ids for item in item_ids.tolist()), bool, len(item_ids))

    def unseen_of(self, items: ItemTable) -> Array:
        """Bool [m] over a whole item table, in time that depends on the history and not on the table."""
        mask = np.ones(len(items), bool)
        mask[_rows_of(items.rows, self._ids)] = False
        return mask


def _rows_of(rows: Mapping[str, int], ids: Iterable[str]) -> list[int]:
    return [rows[item] for item in ids if item in rows]
