"""Time goes on: every moment of a window asks for a slate, then its events become state.

The state comes from the feature tables, row by row as they are stamped, so replay, training and service read the same
transforms.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
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
from feature_repo.store.historical import features_at
from feature_repo.store.item_table import ItemTable, item_table
from feature_repo.store.materialize import known_items
from feature_repo.store.open import stored_features
from feature_repo.transforms.state import BUCKETS

Array = np.ndarray[Any, Any]

ATTRIBUTES = "item_metadata"  # the view that holds them
USER_ROWS = 10_000  # users' rows joined at once


@dataclass(frozen=True)
class Moment:
    """All events of one user at one time: one request, its declared context, and the items that answer it.

    `event_types` has for each item the type of its event that weighs most; empty where nobody asks.
    """

    user_id: str
    moment_us: int
    items: tuple[str, ...]
    context: Mapping[str, str] = field(default_factory=dict)
    event_types: tuple[str, ...] = ()

    @property
    def time(self) -> datetime:
        return from_microseconds(self.moment_us)


def moments(workspace: Workspace, start: datetime, end: datetime) -> list[Moment]:
    """The requests of [start, end) in order of time, from events whose type has a positive weight."""
    dataset = active_dataset(workspace)
    names = ["user_id", "item_id", "timestamp", *dataset.events.context]
    events = pq.read_table(workspace.events, columns=[*names, "event_type"])
    positive = pa.array([kind for kind, weight in dataset.weights.items() if weight > 0], pa.string())
    events = events.filter(pc.is_in(events["event_type"], positive))
    stamps = events["timestamp"].cast(pa.timestamp("us", "UTC")).cast(pa.int64())
    inside = pc.and_(pc.greater_equal(stamps, to_microseconds(start)), pc.less(stamps, to_microseconds(end)))
    chosen = events.set_column(2, "timestamp", stamps).filter(inside)
    grouped: dict[tuple[int, str], dict[str, str]] = {}
    contexts: dict[tuple[int, str], dict[str, str]] = {}
    read = (chosen[name].to_pylist() for name in ("event_type", *names))
    for kind, user, item, stamp, *context in zip(*read, strict=True):
        types = grouped.setdefault((stamp, user), {})
        types[item] = max(types.get(item, kind), kind, key=dataset.weights.__getitem__)
        said = zip(dataset.events.context, context, strict=True)
        contexts.setdefault((stamp, user), {name: value for name, value in said if value is not None})
    return [
        Moment(user, stamp, tuple(types), contexts[stamp, user], tuple(types.values()))
        for (stamp, user), types in sorted(grouped.items())
    ]


@dataclass(frozen=True)
class Updates:
    """New state of one view in order of time: row of the item table, stamp, raw columns; n each."""

    rows: Array
    stamps: Array
    columns: Columns


class ItemTimeline:
    """An item table that moves forward in time; `attributes_move` where attributes, which stay, should have, too."""

    def __init__(self, table: ItemTable, updates: Sequence[Updates], *, attributes_move: bool = False) -> None:
        self.table = table
        self.attributes_move = attributes_move
        self._updates = updates
        self._next = [0] * len(updates)

    def again(self) -> "ItemTimeline":
        """One that starts where this one stands."""
        columns = {name: values.copy() for name, values in self.table.columns.items()}
        table = replace(self.table, columns=columns, known=self.table.known.copy())
        found = ItemTimeline(table, self._updates, attributes_move=self.attributes_move)
        found._next = list(self._next)
        return found

    def advance(self, moment_us: int) -> Array:
        """Apply every state stamped up to `moment_us`; returns the rows that changed."""
        changed = [self._apply(number, moment_us) for number in range(len(self._updates))]
        rows = np.unique(np.concatenate(changed))
        self.table.known[rows] = True
        return rows

    def _apply(self, number: int, moment_us: int) -> Array:
        updates, start = self._updates[number], self._next[number]
        end = int(np.searchsorted(updates.stamps, moment_us, side="right"))
        for at in range(start, end):
            for name, values in updates.columns.items():
                self.table.columns[name][updates.rows[at]] = values[at]
        self._next[number] = end
        return updates.rows[start:end]


def open_timeline(store: FeatureStore, workspace: Workspace, *, start: datetime, end: datetime) -> ItemTimeline:
    """The items that come up by `end`, in their state at `start`, and their states of [start, end)."""
    start_us, end_us = to_microseconds(start), to_microseconds(end)
    items = known_items(workspace, end_us)
    table = _table_at(store, np.array(items, object), start_us)
    # Time goes one way: what only comes later in the window is no candidate before.
    earlier = set(known_items(workspace, start_us))
    table.known[:] = [item in earlier for item in items]
    views = stored_features(store, "item_id")
    # Attributes are those of the start.
    changing = {view: names for view, names in views.items() if view != ATTRIBUTES}
    updates = [_updates(workspace, table, view, names, start_us, end_us) for view, names in changing.items()]
    return ItemTimeline(table, updates, attributes_move=_attributes_move(workspace, start_us, end_us))


def _attributes_move(workspace: Workspace, start_us: int, end_us: int) -> bool:
    """Whether attributes of an item come to hold, or are recorded, between two moments."""
    path = workspace.tables / f"{ATTRIBUTES}.parquet"
    if not path.exists():
        return False
    dates = pq.read_schema(path).names
    table = pq.read_table(path, columns=[name for name in ("event_timestamp", "created_timestamp") if name in dates])
    stamps = [column.cast(pa.timestamp("us", "UTC")).cast(pa.int64()) for column in table.columns]
    inside = [pc.and_(pc.greater(column, start_us), pc.less_equal(column, end_us)) for column in stamps]
    return any(bool(pc.any(column).as_py()) for column in inside)


def _updates(
    workspace: Workspace, table: ItemTable, view: str, names: list[str], start_us: int, end_us: int
) -> Updates:
    states = pq.read_table(workspace.tables / f"{view}.parquet", columns=["item_id", "event_timestamp", *names])
    stamps = states["event_timestamp"].cast(pa.timestamp("us", "UTC")).cast(pa.int64())
    states = states.set_column(1, "event_timestamp", stamps)
    inside = pc.and_(pc.greater(stamps, start_us), pc.less_equal(stamps, end_us))
    states = states.filter(inside).sort_by([("event_timestamp", "ascending"), ("item_id", "ascending")])
    rows = table.rows.of_all(states["item_id"].to_pylist())
    columns = {name: _widened(values) for name, values in as_columns(states, names).items()}
    return Updates(rows, states["event_timestamp"].to_numpy(), columns)


def user_tables(store: FeatureStore, asked: Sequence[Moment], rows: int) -> Iterator[pa.Table]:
    """The raw user rows of all requests in order, at most `rows` of them at once."""
    for start in range(0, len(asked), USER_ROWS):
        part = asked[start : start + USER_ROWS]
        table = features_at(
            store,
            "user_id",
            np.array([m.user_id for m in part], object),
            np.array([m.moment_us for m in part], np.int64),
        )
        table = table.drop(["user_id", "event_timestamp"])
        yield from (table.slice(at, rows) for at in range(0, len(part), rows))


def _table_at(store: FeatureStore, ids: Array, moment_us: int) -> ItemTable:
    rows = features_at(store, "item_id", ids, np.full(len(ids), moment_us, np.int64))
    table = item_table(rows, from_microseconds(moment_us))
    for name, values in table.columns.items():
        table.columns[name] = _widened(values)
    return table


def _widened(values: Array) -> Array:
    # Lists of days grow as time goes on, so they start with room for the longest.
    if values.ndim == 1 or values.dtype == object:
        return values.copy()
    wide = np.zeros((len(values), BUCKETS), values.dtype)
    wide[:, : values.shape[1]] = values
    return wide
