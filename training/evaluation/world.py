"""What an evaluation must know of the log besides slates: how known users and items were before the window."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy import sparse

from feature_repo.core.workspace import Workspace
from feature_repo.dataset.declaration import Dataset
from feature_repo.dataset.split import to_microseconds
from feature_repo.store.item_table import ItemTable
from training.evaluation.segments import heavy_cut, new_items, user_segments
from training.evaluation.summary import Items
from training.replay import Moment

Array = np.ndarray[Any, Any]

NEW_ITEM_DAYS = 30


@dataclass(frozen=True)
class World:
    """n events in order of time: user [n], row of the catalogue [n], microseconds [n], type [n], value [n] or NaN.

    The held-out window starts at `start_us`; the catalogue has `catalogue` items.
    """

    users: Array
    items: Array
    moments_us: Array
    event_types: Array
    values: Array
    start_us: int
    catalogue: int

    @property
    def before(self) -> Array:
        """True for the events before the window [n]."""
        known: Array = self.moments_us < self.start_us
        return known

    def known_items(self, vectors: sparse.csr_array | None) -> Items:
        return Items(np.bincount(self.items[self.before], minlength=self.catalogue), vectors)

    def new_items(self) -> Array:
        """True for items [catalogue] that are younger than NEW_ITEM_DAYS at the window's start, or come in it."""
        first_us = np.full(self.catalogue, np.iinfo(np.int64).max)
        np.minimum.at(first_us, self.items, self.moments_us)
        return new_items(first_us, end_us=self.start_us, days=NEW_ITEM_DAYS)

    def user_segments(self, asked: list[Moment]) -> Array:
        """New, light or heavy for each request, by the user's events before it; heavy as in the training window."""
        ids, numbers = np.unique(self.users, return_inverse=True)
        trained = np.bincount(numbers[self.before], minlength=len(ids))
        order = np.argsort(numbers, kind="stable")
        moments = np.split(self.moments_us[order], np.cumsum(np.bincount(numbers))[:-1])
        of_user = dict(zip(ids.tolist(), moments, strict=True))
        none = np.zeros(0, np.int64)
        counts = [np.searchsorted(of_user.get(m.user_id, none), m.moment_us) for m in asked]
        return user_segments(np.array(counts), heavy_cut(trained))


def load_world(workspace: Workspace, table: ItemTable, *, start: datetime, end: datetime) -> World:
    """The events before `end`, of the items of `table`."""
    events = pq.read_table(workspace.events, columns=["user_id", "item_id", "timestamp", "event_type", "value"])
    stamps = events["timestamp"].cast(pa.timestamp("us", "UTC")).cast(pa.int64()).to_numpy()
    items = table.rows.of(events["item_id"].to_pylist())
    kept = np.flatnonzero((stamps < to_microseconds(end)) & (items >= 0))
    kept = kept[np.argsort(stamps[kept], kind="stable")]
    return World(
        users=np.asarray(events["user_id"].to_numpy(), object)[kept],
        items=items[kept],
        moments_us=stamps[kept],
        event_types=np.asarray(events["event_type"].to_numpy(), object)[kept],
        values=events["value"].cast(pa.float64()).to_numpy()[kept],
        start_us=to_microseconds(start),
        catalogue=len(table),
    )


def item_vectors(dataset: Dataset, table: ItemTable) -> sparse.csr_array | None:
    """Declared categories of the items, multi-hot [m, c]: what diversity is measured on; None where there are none."""
    if dataset.items is None:
        return None
    rows, labels = [], []
    for name in (*dataset.items.categorical, *dataset.items.multi):
        values = table.columns[name].reshape(len(table), -1)
        row, place = np.nonzero(values != None)  # noqa: E711 - an elementwise comparison
        rows.append(row)
        labels.append(np.array([f"{name}={value}" for value in values[row, place]], object))
    if not rows or not sum(map(len, rows)):
        return None
    row, (names, column) = np.concatenate(rows), np.unique(np.concatenate(labels), return_inverse=True)
    found = sparse.csr_array((np.ones(len(row)), (row, column)), shape=(len(table), len(names)))
    found.sum_duplicates()
    return found
