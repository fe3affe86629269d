"""Rows of a table by their ids, one or hundreds at once.

A dict reads memory in five places for an id: its index, its entry, both texts and the number. Sorted hashes are next to
each other and read in two; and they take a fifth of the memory. A hash has 64 bits and another key in every process, so
an id that the table lacks is taken for one that it has once in 10^14 times at 100,000 rows.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import repeat
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Ids = Sequence[str] | Array  # an array of objects, all of them texts


class IdRows(Mapping[str, int]):
    """Row i is `ids[i]`, all distinct."""

    def __init__(self, ids: Ids) -> None:
        hashes = _hashes(ids)
        self._ids = ids
        self._rows = hashes.argsort(kind="stable")
        self._hashes = hashes[self._rows]
        alike = bool((self._hashes[1:] == self._hashes[:-1]).any())
        self._exact = {item: row for row, item in enumerate(ids)} if alike else None

    def of(self, ids: Ids) -> Array:
        """Row of each id [n], int64; -1 for one that is not there."""
        if self._exact is not None:
            return np.fromiter(map(self._exact.get, ids, repeat(-1)), np.int64, len(ids))
        if not len(self._rows):
            return np.full(len(ids), -1)
        wanted = _hashes(ids)
        places = self._hashes.searchsorted(wanted)
        rows = self._rows.take(places, mode="clip")
        rows[self._hashes.take(places, mode="clip") != wanted] = -1
        return rows

    def of_all(self, ids: Ids) -> Array:
        """Row of each id [n], int64.

        Raises:
            KeyError: one is not there.
        """
        rows = self.of(ids)
        if len(rows) and rows.min() < 0:
            raise KeyError(ids[int(rows.argmin())])
        return rows

    def __getitem__(self, item_id: str) -> int:
        return int(self.of_all((item_id,))[0])

    def __iter__(self) -> Iterator[str]:
        return iter(self._ids)

    def __len__(self) -> int:
        return len(self._ids)


def _hashes(ids: Ids) -> Array:
    return np.fromiter(map(hash, ids), np.int64, len(ids))
