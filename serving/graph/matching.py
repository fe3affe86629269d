"""How far items match declared attributes, worked out once for each value that somebody declared."""

from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from serving.filters.which import RulesRefused, has_any, wanted

if TYPE_CHECKING:
    from feature_repo.store.item_table import ItemTable

Array = np.ndarray[Any, Any]

KEPT = 256  # masks, one byte an item each


class Matching:
    """Shares of matching attributes over the newest item table that it was asked about."""

    def __init__(self) -> None:
        self._items: ItemTable | None = None
        self._masks: OrderedDict[tuple[str, str], Array] = OrderedDict()

    def share(self, items: "ItemTable", declared: Mapping[str, tuple[str, ...]]) -> Array:
        """Float32 [m]: of the declared attributes, the share that an item has one of the liked values of.

        An attribute or a value that no item has matches nothing.
        """
        if items is not self._items:
            self._items, self._masks = items, OrderedDict()
        found = np.zeros(len(items), np.float32)
        for name, values in declared.items():
            masks = [self._mask(items, name, value) for value in values]
            if masks:
                found += np.any(masks, axis=0)
        return found / max(len(declared), 1)

    def _mask(self, items: "ItemTable", name: str, value: str) -> Array:
        key = (name, value)
        if key not in self._masks:
            self._masks[key] = matches(items, name, value)
            if len(self._masks) > KEPT:
                self._masks.popitem(last=False)
        return self._masks[key]


def matches(items: "ItemTable", name: str, value: str) -> Array:
    """Bool [m]: whether an item's attribute `name` is, or holds, `value`."""
    column = items.columns.get(name)
    if column is None:
        return np.zeros(len(items), bool)
    try:
        return has_any(column, wanted((value,), column))
    except RulesRefused:  # a word where the items have numbers
        return np.zeros(len(items), bool)
