"""Each kind of filter rule over one item table: the values that a request can take, and the mask of each."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from feature_repo.features.columns import Columns
from serving.filters.rules import AgeLimit, RegionRule, Unavailable
from serving.filters.which import RulesRefused, as_rows, column_of, has_any, named, wanted

Array = np.ndarray[Any, Any]

UNKNOWN = -1  # the key of a request that does not say its region, or says one that no item names


def available(rules: Sequence[Unavailable], columns: Columns, rows: int) -> Array:
    """Bool [rows], writable: False where an attribute says that an item cannot be had."""
    mask = np.ones(rows, bool)
    for rule in rules:
        with named(rule.name):
            column = column_of(columns, rule.attribute)
            mask &= ~has_any(column, wanted(rule.values, column))
    return mask


class AgeOf:
    """One age limit over a table. Its key is how many of the table's different limits the request's age reaches."""

    def __init__(self, rule: AgeLimit, columns: Columns) -> None:
        with named(rule.name):
            column = column_of(columns, rule.attribute)
            if column.dtype.kind != "f":
                raise RulesRefused(f"an age limit must read an attribute of numbers; got {rule.attribute!r}")
        self._rule = rule
        limits = np.nan_to_num(column, nan=0.0)
        self._steps, self._step_of = np.unique(limits, return_inverse=True)

    def key(self, context: Mapping[str, str]) -> int:
        return int(np.searchsorted(self._steps, self._age(context), side="right"))

    def mask(self, key: int) -> Array:
        return np.asarray(self._step_of < key)

    def _age(self, context: Mapping[str, str]) -> float:
        try:
            age = float(context[self._rule.context])
        except (KeyError, ValueError):
            return self._rule.unknown_age
        # An age of infinity, or none at all, is not an age.
        return age if np.isfinite(age) else self._rule.unknown_age


class RegionsOf:
    """One region rule over a table. Its key is the number of the request's region among those that items name."""

    def __init__(self, rule: RegionRule, columns: Columns) -> None:
        with named(rule.name):
            column = column_of(columns, rule.attribute)
            if column.dtype.kind != "O":
                raise RulesRefused(f"a region rule must read an attribute of texts; got {rule.attribute!r}")
        self._rule = rule
        rows_of: dict[str, list[int]] = {}
        for row, regions in enumerate(as_rows(column)):
            for region in regions:
                if region is not None:
                    rows_of.setdefault(region, []).append(row)
        self._numbers = {region: number for number, region in enumerate(rows_of)}
        self._rows = [np.array(rows, np.int32) for rows in rows_of.values()]
        self._ruled = np.zeros(len(column), bool)
        for rows in self._rows:
            self._ruled[rows] = True

    def key(self, context: Mapping[str, str]) -> int | None:
        region = context.get(self._rule.context)
        return None if not region else self._numbers.get(region, UNKNOWN)

    def mask(self, key: int | None) -> Array:
        """None: the request names no region; UNKNOWN: one that no item names."""
        if key is None:
            return np.ones_like(self._ruled) if self._rule.unknown_region == "show" else ~self._ruled
        here = np.zeros_like(self._ruled)
        if key != UNKNOWN:
            here[self._rows[key]] = True
        return ~self._ruled | here if self._rule.means == "only" else ~here
