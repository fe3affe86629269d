"""The items that rules leave for a request, as one mask over the item table.

What does not depend on the request is computed once for an item table. The rest takes few values (regions and age
limits of the table, hours of the rules), so whole masks are kept: a request costs a few look-ups.
"""

import weakref
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np

from feature_repo.store.item_table import ItemTable
from serving.filters.rules import Exclusion, FilterRules
from serving.filters.table_rules import AgeOf, RegionsOf, available
from serving.filters.when import When
from serving.filters.which import named
from training.slate import Request

Array = np.ndarray[Any, Any]

KEPT_MASKS = 64  # for each item table; one byte an item each


class Filters:
    """Filter rules, and what they make of the item tables that requests are answered from."""

    def __init__(self, rules: FilterRules, exclusions: Sequence[Exclusion] = ()) -> None:
        self._rules = rules
        self._exclusions = tuple(exclusions)
        self._tables: dict[int, _OfTable] = {}

    def prepare(self, items: ItemTable) -> None:
        """Compute what does not depend on requests: a refresher calls this before it puts `items` to use.

        Raises:
            RulesRefused: a rule reads an attribute that the items do not have.
        """
        of_table = _OfTable(self._rules, self._exclusions, items)
        # The table's own life ends the entry: what is kept here must not keep an old table in memory.
        weakref.finalize(items, self._tables.pop, id(items), None).atexit = False
        self._tables[id(items)] = of_table

    def allowed(self, items: ItemTable, request: Request, moment: datetime) -> Array:
        """Bool [m], read-only, over the m items of `items`, which must not change: True where every rule allows it."""
        if id(items) not in self._tables:
            self.prepare(items)
        return self._tables[id(items)].allowed(request, moment)


class _OfTable:
    def __init__(self, rules: FilterRules, exclusions: Sequence[Exclusion], items: ItemTable) -> None:
        columns = items.columns
        self._base = available(rules.unavailable, columns, len(items))
        self._at_hours: list[tuple[When, Array]] = []
        for rule in exclusions:
            with named(rule.name):
                kept = ~rule.matches(items.item_ids, columns)
            if rule.when is None:
                self._base &= kept
            else:
                self._at_hours.append((rule.when, kept))
        self._ages = [AgeOf(rule, columns) for rule in rules.age_limits]
        self._regions = [RegionsOf(rule, columns) for rule in rules.regions]
        self._held: tuple[int, tuple[bool, ...]] | None = None
        self._masks: dict[tuple[Any, ...], Array] = {}
        self._base.flags.writeable = False

    def allowed(self, request: Request, moment: datetime) -> Array:
        key = (
            *self._hours(moment),
            *(age.key(request.context) for age in self._ages),
            *(region.key(request.context) for region in self._regions),
        )
        if not key:
            return self._base
        mask = self._masks.get(key)
        if mask is None:
            mask = self._mask(key)
            if len(self._masks) >= KEPT_MASKS:
                self._masks.pop(next(iter(self._masks)))
            self._masks[key] = mask
        return mask

    def _hours(self, moment: datetime) -> tuple[bool, ...]:
        """Which rules with hours hold; kept for the minute, which is the finest that a rule can say."""
        minute, held = int(moment.timestamp() // 60), self._held
        if held is None or held[0] != minute:
            held = self._held = (minute, tuple(when.holds(moment) for when, _ in self._at_hours))
        return held[1]

    def _mask(self, key: tuple[Any, ...]) -> Array:
        mask, parts = self._base.copy(), iter(key)
        for _, allowed in self._at_hours:
            if next(parts):
                mask &= allowed
        for age in self._ages:
            mask &= age.mask(next(parts))
        for region in self._regions:
            mask &= region.mask(next(parts))
        mask.flags.writeable = False
        return mask
