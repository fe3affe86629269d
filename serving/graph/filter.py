"""Stage 2, the filter: which items may be shown to this user now, as one mask over the item table.

It comes before retrieval, so that the places of what may not be shown go to what may. What the user has seen and what
the request excludes is the recommender's own part of the mask.
"""

from collections.abc import Collection
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from serving.graph.visit import User, Visit

if TYPE_CHECKING:
    from feature_repo.store.item_table import ItemTable
    from training.slate import Request

Array = np.ndarray[Any, Any]


class BlockedPort(Protocol):
    """The items that nobody may be shown."""

    @property
    def ids(self) -> frozenset[str]: ...

    def mask(self, items: "ItemTable") -> Array: ...


class FiltersPort(Protocol):
    """The rules that take items away."""

    def allowed(self, items: "ItemTable", request: "Request", moment: datetime) -> Array: ...


class FilterStage:
    """Gives the mask [m] of a visit; True where an item may be shown."""

    def __init__(self, blocked: BlockedPort) -> None:
        self._blocked = blocked

    def allowed(self, visit: Visit, user: User, filters: FiltersPort, *, repeats: bool) -> Array:
        """Not to be written to. `repeats`: what was met may be recommended again; what was hidden may not, even so."""
        items = visit.recommender.items
        allowed = filters.allowed(items, visit.request, visit.now)
        if self._blocked.ids:
            allowed = allowed & ~self._blocked.mask(items)
        gone = rows_of(items, user.hidden if repeats else (*user.hidden, *user.met))
        if gone:
            allowed = allowed.copy()
            allowed[gone] = False
        return allowed


def rows_of(items: "ItemTable", item_ids: Collection[str]) -> list[int]:
    """Rows of the ids that the table has."""
    if not item_ids:
        return []
    rows = items.rows.of([*item_ids])
    found: list[int] = rows[rows >= 0].tolist()
    return found
