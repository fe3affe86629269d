"""An item table as the catalogue that retrievers score, with its state of the day kept between requests."""

from typing import Any

import numpy as np

from feature_repo.features.columns import Columns, take
from feature_repo.features.request import state_at
from feature_repo.store.item_table import ItemTable
from feature_repo.transforms.moments import MICROSECONDS_A_DAY
from training.vocabulary import Vocabulary

Array = np.ndarray[Any, Any]


class TableCatalogue:
    """m items of `table`; `known` gives the row of each in the vocabulary of the training log."""

    def __init__(self, table: ItemTable, vocabulary: Vocabulary) -> None:
        self.table = table
        self.item_ids = table.item_ids
        self.known = vocabulary.encode(table.item_ids) - 1
        self._day = -1
        self._state: Columns = {}

    def state(self, moment_us: int) -> Columns:
        """Windows, recency, age and trend of every item at noon of the day of `moment_us`."""
        today = moment_us // MICROSECONDS_A_DAY
        if today != self._day:
            self._state, self._day = self._at_noon(self.table.columns, today), today
        return self._state

    def changed(self, rows: Array) -> None:
        """Take notice of new raw state in `rows` of the table."""
        if self._day >= 0 and len(rows):
            for name, values in self._at_noon(take(self.table.columns, rows), self._day).items():
                self._state[name][rows] = values

    def _at_noon(self, columns: Columns, day: int) -> Columns:
        noon = np.full(len(columns["item_days"]), day * MICROSECONDS_A_DAY + MICROSECONDS_A_DAY // 2, np.int64)
        return state_at("item", columns, noon)
