"""An item table as the catalogue that retrievers score, with what holds for a whole day kept between requests."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from feature_repo.features.columns import Columns, take
from feature_repo.features.item import item_features, item_features_at
from feature_repo.features.pairs import Labels, labels_of
from feature_repo.features.plan import FeaturePlan
from feature_repo.features.request import ITEM_STATE, since, since_features
from feature_repo.store.item_table import ItemTable
from feature_repo.transforms.state import MICROSECONDS_A_DAY
from training.retrieval.answers import Ranking, moved, ranking_of
from training.vocabulary import Vocabulary

Array = np.ndarray[Any, Any]
Formula = Callable[[Columns], Array]

ROWS_AT_ONCE = 8_192  # bounds the memory of the padded days
ITEM_COUNTS = ("item_event_count", "item_first_event", "item_last_event")
MOST_FIXED = 16  # rankings by group that are kept
MOST_DAYS = 3  # kept: clients' clocks differ around midnight, and a day of a large catalogue takes long to work out
MOST_MOVED = 64  # with more rows to put in their place, sorting all of them is the faster way


@dataclass
class _Day:
    """Features at noon of all items [m, f], and their orders by them."""

    day: int
    features: Array
    rankings: dict[str, tuple[Formula, Ranking]] = field(default_factory=dict)


class TableCatalogue:
    """m items of `table`; `known` gives the row of each in the vocabulary of the training log."""

    def __init__(self, table: ItemTable, vocabulary: Vocabulary, plan: FeaturePlan) -> None:
        self.table = table
        self._plan = plan
        self._names = item_features(plan)
        first, *_, last = (self._names.index(name) for name in since_features("item"))
        self._since = slice(first, last + 1)
        self._columns = (*ITEM_STATE, *plan.item_state)
        self._tastes = {name: labels_of(table.columns[name]) for name in plan.tastes}
        self.item_ids = table.item_ids
        self.known = vocabulary.encode(table.item_ids) - 1
        self.rows_of = np.full(len(vocabulary) - 1, -1, np.int64)
        there = np.flatnonzero(self.known >= 0)
        self.rows_of[self.known[there]] = there
        self._days: tuple[_Day, ...] = ()  # the last one asked for first
        self._fixed: OrderedDict[Hashable, Ranking] = OrderedDict()

    def state(self, moment_us: int) -> Columns:
        """Windows, recency, age and trend of every item at noon of the day of `moment_us`."""
        return self._named(self._of_day(moment_us).features)

    def features(self, rows: Array, moment_us: int) -> Array:
        """`item_features_at` of the `rows` [n] at `moment_us` as float32 [n, f]."""
        found: Array = self._of_day(moment_us).features.take(rows, axis=0)
        raw = {name: self.table.columns[name].take(rows) for name in ITEM_COUNTS}
        found[:, self._since] = since("item", raw, np.array(moment_us)).T
        return found

    def tastes(self, rows: Array) -> dict[str, Labels]:
        """What users have tastes in, of the `rows` [n]."""
        return {name: labels.take(rows) for name, labels in self._tastes.items()}

    def ranking(self, name: str, formula: Formula, moment_us: int) -> Ranking:
        """Items by `formula` of their state on the day of `moment_us`; a name stands for one formula."""
        today = self._of_day(moment_us)
        if name not in today.rankings:
            today.rankings[name] = formula, ranking_of(formula(self._named(today.features)).astype(np.float32))
        return today.rankings[name][1]

    def fixed(self, key: Hashable, scores: Callable[[], Array]) -> Ranking:
        """Items by scores [m] that do not change; the last MOST_FIXED keys are kept."""
        found = self._fixed.pop(key, None) or ranking_of(scores())
        self._fixed[key] = found
        while len(self._fixed) > MOST_FIXED:
            self._fixed.popitem(last=False)
        return found

    def prepare(self, moment_us: int) -> None:
        """Work out beforehand what holds on the day of `moment_us`, with every order that was asked for so far."""
        day, days = moment_us // MICROSECONDS_A_DAY, self._days
        if any(ready.day == day for ready in days):
            return
        found = _Day(day, self._whole(day))
        for name, (formula, _) in list(days[0].rankings.items()) if days else []:
            found.rankings[name] = formula, ranking_of(formula(self._named(found.features)).astype(np.float32))
        self._days = (*self._days[: MOST_DAYS - 1], found)

    def follow(self, other: "TableCatalogue") -> None:
        """Be ready for the day, and the orders, that `other` answers for."""
        for asked in other._days[:1]:
            moment_us = asked.day * MICROSECONDS_A_DAY
            for name, (formula, _) in list(asked.rankings.items()):
                self.ranking(name, formula, moment_us)

    def changed(self, rows: Array) -> None:
        """Take notice of new raw state in the distinct `rows` of the table."""
        for asked in self._days if len(rows) else ():
            found = self._at_noon(rows, asked.day)
            asked.features[rows] = found
            if len(rows) > MOST_MOVED:
                asked.rankings.clear()
            state = self._named(found)
            for name, (formula, ranking) in asked.rankings.items():
                asked.rankings[name] = formula, moved(ranking, rows, formula(state).astype(np.float32))

    def _of_day(self, moment_us: int) -> _Day:
        day, days = moment_us // MICROSECONDS_A_DAY, self._days
        if days and days[0].day == day:
            return days[0]
        found = next((ready for ready in days if ready.day == day), None) or _Day(day, self._whole(day))
        self._days = (found, *(ready for ready in days if ready.day != day))[:MOST_DAYS]
        return found

    def _whole(self, day: int) -> Array:
        """Features of all items, block by block."""
        found = np.empty((len(self.item_ids), len(self._names)), np.float32)
        for at in range(0, len(found), ROWS_AT_ONCE):
            part = slice(at, at + ROWS_AT_ONCE)
            found[part] = self._at_noon(part, day)
        return found

    def _at_noon(self, rows: Array | slice, day: int) -> Array:
        raw = take({name: self.table.columns[name] for name in self._columns}, rows)
        noon = np.full(len(raw["item_days"]), day * MICROSECONDS_A_DAY + MICROSECONDS_A_DAY // 2, np.int64)
        return np.stack([*item_features_at(self._plan, raw, noon).values()], axis=1)

    def _named(self, features: Array) -> Columns:
        return dict(zip(self._names, features.T, strict=True))
