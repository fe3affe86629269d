"""Rows of a window summed into blocks of one user and one day: what a bootstrap may draw, and how uneven they are.

Rows of one slate share their user, a user comes again, and a day has effects on everybody: a window of 10,000 rows can
hold the evidence of 16 people.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from monitoring.drift.columns import Rows

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Blocks:
    """m blocks: `user` and `day` of each [m]; present rows, sums [m, c] and rows in each of k bins [m, c, k].

    `of_requests` [c] is the variance that the means would have, were every request its own user's.
    """

    user: Array
    day: Array
    counts: Array
    sums: Array
    bins: Array
    of_requests: Array


def effective(groups: Array) -> float:
    """Kish's effective number of groups: how many of equal size would say as much as these. `groups` [n] of rows."""
    if not len(groups):
        return 0.0
    sizes = np.bincount(groups).astype(float)
    return float(sizes.sum() ** 2 / (sizes**2).sum())


def bin_edges(values: Array, bins: int) -> Array:
    """The inner edges [bins - 1] of bins of about equally many finite values; one between equal edges is empty."""
    finite = values[np.isfinite(values)]
    edges: Array = np.quantile(finite, np.linspace(0, 1, bins + 1)[1:-1]) if len(finite) else np.zeros(bins - 1)
    return edges


def bin_centres(values: Array, edges: Array) -> Array:
    """The mean of the finite values in each bin [bins]; an empty one has its neighbour's, so it weighs nothing."""
    finite = values[np.isfinite(values)]
    bins = np.searchsorted(edges, finite, side="left")
    counts = np.bincount(bins, minlength=len(edges) + 1)
    means = np.bincount(bins, weights=finite, minlength=len(edges) + 1) / np.maximum(counts, 1)
    held = np.flatnonzero(counts)
    if not len(held):
        return np.zeros(len(edges) + 1)
    nearest = np.maximum(np.searchsorted(held, np.arange(len(counts)), side="right") - 1, 0)
    centres: Array = means[held[nearest]]
    return centres


def blocks_of(
    rows: Rows,
    values: Mapping[str, Array],
    names: Sequence[str],
    edges: Mapping[str, Array],
    *,
    bins_a_column: int,
    most: int,
    seed: int,
) -> Blocks:
    """Sum the columns `names` by user and day; of more than `most` blocks, those of randomly drawn users."""
    block = rows.user * (int(rows.day.max(initial=0)) + 1) + rows.day
    held, cell = np.unique(block, return_inverse=True)
    width = int(rows.day.max(initial=0)) + 1
    user, day = held // width, held % width
    kept = _drawn(user, most, seed)
    k = bins_a_column
    m = len(held)
    counts, sums = np.zeros((m, len(names)), np.float32), np.zeros((m, len(names)), np.float64)
    bins = np.zeros((m, len(names), k), np.float32)
    for place, name in enumerate(names):
        x = values[name]
        present = np.isfinite(x)
        of, x = (cell, x) if present.all() else (cell[present], x[present])
        counts[:, place] = np.bincount(of, minlength=m)
        sums[:, place] = np.bincount(of, weights=x, minlength=m)
        bin_of = np.searchsorted(edges[name], x, side="left")
        bins[:, place] = np.bincount(of * k + bin_of, minlength=m * k).reshape(m, k)
    _, users = np.unique(user[kept], return_inverse=True)
    _, days = np.unique(day[kept], return_inverse=True)
    of_requests = _request_variances(rows, values, names, np.isin(cell, kept))
    return Blocks(users, days, counts[kept], sums[kept], bins[kept], of_requests)


def cluster_variance(error: Array, total: Array | float) -> Array:
    """Variance of a mean over `total` rows [...] from the sums of its errors in g clusters [g, ...]."""
    g = len(error)
    variance: Array = (error**2).sum(axis=0) / np.maximum(total, 1.0) ** 2 * (g / max(g - 1, 1))
    return variance


def _request_variances(rows: Rows, values: Mapping[str, Array], names: Sequence[str], within: Array) -> Array:
    found = np.zeros(len(names))
    for place, name in enumerate(names):
        held = within & np.isfinite(values[name])
        x = values[name][held]
        if len(x):
            error = np.bincount(rows.request[held], weights=x - x.mean())
            found[place] = cluster_variance(error, float(len(x)))
    return found


def by(groups: Array, values: Array) -> Array:
    """Sums of `values` [m, ...] by group [m]: [groups, ...]."""
    order = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.diff(groups[order], prepend=-1))
    summed: Array = np.add.reduceat(values[order], starts, axis=0)
    return summed


def _drawn(user: Array, most: int, seed: int) -> Array:
    if len(user) <= most:
        return np.arange(len(user))
    order = np.random.default_rng(seed).permutation(int(user.max()) + 1)
    sizes = np.bincount(user)[order]
    taken = order[: max(1, int(np.searchsorted(np.cumsum(sizes), most, side="right")))]
    return np.flatnonzero(np.isin(user, taken))
