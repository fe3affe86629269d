"""Requests with raw user features as the queries of retrievers."""

from collections.abc import Mapping, Sequence
from copy import copy
from functools import lru_cache
from itertools import repeat
from typing import Any

import numpy as np
from scipy import sparse

from feature_repo.features.columns import Columns
from feature_repo.store.item_table import ItemTable
from training.retrieval.port import Queries

Array = np.ndarray[Any, Any]

LEAST_WEIGHT = 1 / 128  # of a meeting beside the newest; older ones cost as much to add and say next to nothing


def queries_of(
    user_ids: Array,
    users: Columns,
    moments_us: Array,
    contexts: Sequence[Mapping[str, str]],
    *,
    segments: Array,
    table: ItemTable,
    known: Array,
    vocabulary: int,
    half_life: float,
    history: Array | None = None,
) -> Queries:
    """q queries from raw user columns; `known` [m] is the row in the vocabulary of each of the table's items.

    `history` holds the table's rows of all items met, in their order, where that is known already. What was met counts
    half as much for every `half_life` items that were met after it, down to LEAST_WEIGHT.
    """
    items = users["history_items"]
    if history is None:
        history = np.fromiter(map(table.rows.get, items.ravel().tolist(), repeat(-1)), np.int64, items.size)
    history, history_us = history.reshape(items.shape), users["history_times"]
    if None in items[:, -1]:
        history, history_us = _right_aligned(items, history, history_us)
    return Queries(
        user_ids=user_ids,
        moments_us=moments_us,
        met=_bag(history, known, vocabulary, half_life),
        history=history,
        history_us=history_us,
        contexts=contexts,
        segments=segments,
        users=users,
    )


def _right_aligned(items: Array, rows: Array, times: Array) -> tuple[Array, Array]:
    """`rows` and `times` of lists that are padded at their end: positions of a history count from its newest item."""
    lengths = (items != None).sum(axis=1)  # noqa: E711 - an elementwise comparison
    shift = np.arange(items.shape[1]) - (items.shape[1] - lengths)[:, None]
    moved = (np.take_along_axis(found, np.maximum(shift, 0), axis=1) for found in (rows, times))
    rows, times = (np.where(shift >= 0, found, nothing) for found, nothing in zip(moved, (-1, 0), strict=True))
    return rows, times


def _bag(history: Array, known: Array, vocabulary: int, half_life: float) -> sparse.csr_array:
    weights = _weights(history.shape[1], half_life)
    history = history[:, history.shape[1] - len(weights) :]
    columns = known.take(history)
    columns[history < 0] = -1
    cells = columns if len(history) == 1 else columns + (np.arange(len(history)) * vocabulary)[:, None]
    there = np.flatnonzero(columns.ravel() >= 0)
    # The newest meeting counts where an item was met more than once: the last of its cells.
    there = there[cells.ravel()[there].argsort(kind="stable")]
    cells = cells.ravel()[there]
    last = np.ones(len(cells), bool)
    np.not_equal(cells[1:], cells[:-1], out=last[:-1])
    there, cells = there[last], cells[last]
    found = copy(_no_bags(len(history), vocabulary))
    found.data, found.indices = weights[there % len(weights)], columns.ravel()[there]
    found.indptr = cells.searchsorted(np.arange(len(history) + 1) * vocabulary)
    return found


@lru_cache(maxsize=8)
def _weights(items: int, half_life: float) -> Array:
    """What each of the last of so many items met counts, newest last, float32."""
    weights: Array = 0.5 ** (np.arange(items)[::-1] / half_life)
    return weights[weights >= LEAST_WEIGHT].astype(np.float32)


@lru_cache(maxsize=1)
def _no_bags(queries: int, vocabulary: int) -> sparse.csr_array:
    """To be copied: scipy's checks of what a bag is made of take longer than making it."""
    return sparse.csr_array((queries, vocabulary), dtype=np.float32)
