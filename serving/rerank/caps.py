"""Caps: at most so many items of one value of an attribute in a slate."""

from collections.abc import Sequence
from typing import Any

from feature_repo.features.columns import Columns
from serving.filters.which import as_rows, column_of
from serving.rerank.rules import Cap

Key = tuple[int, Any]  # the number of a cap, and a value of its attribute


class Caps:
    """What each cap leaves. An item of several values counts for each of them; one without a value for none.

    Values are read as rows are chosen, and looked up by value once a cap is reached: most rows are never asked about.
    """

    def __init__(self, caps: Sequence[Cap], attributes: Columns) -> None:
        self._at_most = [cap.at_most for cap in caps]
        self._cells = [as_rows(column_of(attributes, cap.attribute)) for cap in caps]
        self._rows_of: list[dict[Any, list[int]] | None] = [None] * len(caps)
        self._used: dict[Key, int] = {}
        self._keys: dict[int, list[Key]] = {}

    def at_most(self, key: Key) -> int:
        return self._at_most[key[0]]

    def keys(self, row: int) -> list[Key]:
        """What `row` counts for."""
        if row not in self._keys:
            # A set: a value that an item names twice is one value. NaN is unlike itself.
            self._keys[row] = [
                (number, value)
                for number, cells in enumerate(self._cells)
                for value in set(cells[row])
                if value is not None and value == value
            ]
        return self._keys[row]

    def take(self, row: int) -> list[int]:
        """Count `row` as in the slate; the rows, itself first, that cannot be taken any more."""
        closed = [row]
        for key in self.keys(row):
            self._used[key] = self._used.get(key, 0) + 1
            if self._used[key] == self.at_most(key):
                closed += self._rows(key)
        return closed

    def _rows(self, key: Key) -> list[int]:
        number, value = key
        rows_of = self._rows_of[number]
        if rows_of is None:
            rows_of = self._rows_of[number] = {}
            for row, cells in enumerate(self._cells[number]):
                for cell in cells:
                    rows_of.setdefault(cell, []).append(row)
        return rows_of[value]
