"""Requests with raw user features as the queries of retrievers."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from scipy import sparse

from feature_repo.features.columns import Columns
from feature_repo.store.id_rows import IdRows
from training.retrieval.bags import stacked
from training.retrieval.port import Queries

Array = np.ndarray[Any, Any]

LACKING = -1  # row in the vocabulary of an item that it lacks
LEAST_WEIGHT = 1 / 128  # of a meeting beside the newest; older ones cost as much to add and say next to nothing


def queries_of(
    user_ids: Array,
    users: Columns,
    moments_us: Array,
    contexts: Sequence[Mapping[str, str]],
    *,
    segments: Array,
    ids: IdRows,
    known: Array,
    vocabulary: int,
    half_life: float,
    history: Array | None = None,
) -> Queries:
    """q queries from raw user columns; `ids` are those of the item table, `known` [m] rows of the vocabulary for each.

    `history` holds the table's rows of all items met, in their order, where that is known already. What was met counts
    half as much for every `half_life` items that were met after it, down to LEAST_WEIGHT.
    """
    items = users["history_items"]
    if history is None:
        history = ids.of(items.ravel().tolist())
    history, history_us = history.reshape(items.shape), users["history_times"]
    if None in items[:, -1]:
        history, history_us = _right_aligned(items, history, history_us)
    return Queries(
        user_ids=user_ids,
        moments_us=moments_us,
        met=_bags(history, known, vocabulary, half_life),
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


def _bags(history: Array, known: Array, vocabulary: int, half_life: float) -> sparse.csr_array:
    weights = _weights(history.shape[1], half_life)
    history = history[:, history.shape[1] - len(weights) :]
    columns = known.take(history)
    columns[history < 0] = LACKING
    # The newest meeting counts where an item was met more than once: of equal keys a dict keeps the last value.
    bags = [dict(zip(row, weights, strict=True)) for row in columns.tolist()]
    for bag in bags:
        bag.pop(LACKING, None)
    return stacked(bags, vocabulary)


@lru_cache(maxsize=256)
def _weights(items: int, half_life: float) -> tuple[float, ...]:
    """What each of the last of so many items met counts, newest last."""
    weights = 0.5 ** (np.arange(items)[::-1] / half_life)
    return tuple(weights[weights >= LEAST_WEIGHT].tolist())
