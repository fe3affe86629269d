"""Time goes on: every moment of a window asks for a slate, then its events become state.

The state comes from the feature tables, row by row as they are stamped, so replay, training and service read the same
transforms.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from feast import FeatureStore

from feature_repo.core.workspace import Workspace
from feature_repo.dataset.prepare import active_dataset
from feature_repo.dataset.split import from_microseconds, to_microseconds
from feature_repo.features.columns import Columns, as_columns
from feature_repo.features.request import ITEM_STATE
from feature_repo.store.historical import features_at
from feature_repo.store.item_table import ItemTable, item_table
from feature_repo.store.materialize import items_at
from feature_repo.transforms.buckets import BUCKETS

Array = np.ndarray[Any, Any]

USER_ROWS = 2000  # users' rows turned into Python values at once


@dataclass(frozen=True)
class Moment:
    """All events of one user at one time: one request, and the items that answer it."""

    user_id: str
    moment_us: int
    items: tuple[str, ...]

    @property
    def time(self) -> datetime:
        return from_microseconds(self.moment_us)


def moments(workspace: Workspace, start: datetime, end: datetime) -> list[Moment]:
    """The requests of [start, end) in order of time, from events whose type has a positive weight."""
    events = pq.read_table(workspace.events, columns=["user_id", "item_id", "timestamp", "event_type"])
    weights = active_dataset(workspace).weights
    positive = pa.array([kind for kind, weight in weights.items() if weight > 0], pa.string())
    events = events.filter(pc.is_in(events["event_type"], positive))
    stamps = events["timestamp"].cast(pa.timestamp("us", "UTC")).cast(pa.int64())
    inside = pc.and_(pc.greater_equal(stamps, to_microseconds(start)), pc.less(stamps, to_microseconds(end)))
    chosen = events.set_column(2, "timestamp", stamps).filter(inside)
    grouped: dict[tuple[int, str], list[str]] = {}
    for user, item, stamp in zip(*(chosen[c].to_pylist() for c in ("user_id", "item_id", "timestamp")), strict=True):
        grouped.setdefault((stamp, user), []).append(item)
    return [Moment(user, stamp, tuple(items)) for (stamp, user), items in sorted(grouped.items())]


class ItemTimeline:
    """An item table that moves forward in time."""

    def __init__(self, table: ItemTable, rows: Array, stamps: Array, updates: Columns) -> None:
        self.table = table
        self._rows, self._stamps, self._updates = rows, stamps, updates
        self._next = 0

    def advance(self, moment_us: int) -> Array:
        """Apply every state stamped up to `moment_us`; returns the rows that changed."""
        end = int(np.searchsorted(self._stamps, moment_us, side="right"))
        for at in range(self._next, end):
            for name, values in self._updates.items():
                self.table.columns[name][self._rows[at]] = values[at]
        changed = np.unique(self._rows[self._next : end])
        self.table.known[changed] = True
        self._next = end
        return changed


def open_timeline(store: FeatureStore, workspace: Workspace, *, start: datetime, end: datetime) -> ItemTimeline:
    """The items that come up by `end`, in their state at `start`, and their states of [start, end)."""
    start_us, end_us = to_microseconds(start), to_microseconds(end)
    known = items_at(store, workspace, end_us)["item_id"].to_numpy()
    table = _table_at(store, known, start_us)
    # Time goes one way: what only comes later in the window is no candidate before.
    table.known[:] = np.isin(known, items_at(store, workspace, start_us)["item_id"].to_numpy())
    popularity = pq.read_table(workspace.tables / "item_popularity.parquet", columns=["item_id", "event_timestamp"])
    stamps = popularity["event_timestamp"].cast(pa.timestamp("us", "UTC")).cast(pa.int64()).to_numpy()
    inside = (stamps > start_us) & (stamps <= end_us)
    ids, stamps = popularity["item_id"].to_numpy()[inside], stamps[inside]
    order = np.argsort(stamps, kind="stable")
    ids, stamps = ids[order], stamps[order]
    states = features_at(store, "item_id", ids, stamps, leave_out=frozenset({"item_metadata"}))
    updates = {name: _widened(values) for name, values in as_columns(states, ITEM_STATE).items()}
    return ItemTimeline(table, np.array([table.rows[i] for i in ids], np.int64), stamps, updates)


def user_rows(store: FeatureStore, asked: list[Moment]) -> Iterator[Mapping[str, Any]]:
    """The raw user row of each request, as the online store would have given it at that moment."""
    for at in range(0, len(asked), USER_ROWS):
        part = asked[at : at + USER_ROWS]
        table = features_at(
            store,
            "user_id",
            np.array([m.user_id for m in part], object),
            np.array([m.moment_us for m in part], np.int64),
        )
        yield from table.drop(["user_id", "event_timestamp"]).to_pylist()


def _table_at(store: FeatureStore, ids: Array, moment_us: int) -> ItemTable:
    rows = features_at(store, "item_id", ids, np.full(len(ids), moment_us, np.int64))
    table = item_table(rows, from_microseconds(moment_us))
    for name in ITEM_STATE:
        table.columns[name] = _widened(table.columns[name])
    return table


def _widened(values: Array) -> Array:
    # Lists grow as time goes on, so they start with room for the longest.
    if values.ndim == 1:
        return values.copy()
    wide = np.zeros((len(values), BUCKETS), values.dtype)
    wide[:, : values.shape[1]] = values
    return wide
