"""The candidates of many requests as a ranker learns from them: one query group a request, checked at the door."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from feature_repo.core.errors import DatasetError

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class QueryGroups:
    """n candidates: matrix [n, f] with NaN where a feature is missing, gains [n], ascending request numbers [n].

    Gains may be [n, o], one column for each of o objectives. `positions` [n] are the places at which candidates were
    shown, from 1, below 1 where one was not; `champion` [n] the scores of the version that serves now.
    """

    matrix: Array
    relevance: Array
    groups: Array
    positions: Array | None = None
    champion: Array | None = None

    def __len__(self) -> int:
        return len(self.groups)

    def take(self, rows: Array | slice) -> "QueryGroups":
        """Only the rows of an index, mask or slice, in its order."""
        return QueryGroups(
            self.matrix[rows],
            self.relevance[rows],
            self.groups[rows],
            None if self.positions is None else self.positions[rows],
            None if self.champion is None else self.champion[rows],
        )

    def with_gains(self, gains: Array) -> "QueryGroups":
        return replace(self, relevance=gains)


@dataclass(frozen=True)
class Dropped:
    """Requests that say nothing about order: none of their candidates is relevant, or all are equally so."""

    without_positive: int
    only_positives: int

    def __add__(self, other: "Dropped") -> "Dropped":
        return Dropped(self.without_positive + other.without_positive, self.only_positives + other.only_positives)


def checked(rows: QueryGroups, feature_names: Sequence[str]) -> QueryGroups:
    """`rows` themselves, where they keep the rules of a ranker's training set.

    Raises:
        DatasetError: lengths differ, requests are out of order, a gain is negative or NaN, a feature is infinite.
    """
    shape = (len(rows), len(feature_names))
    if rows.matrix.shape != shape or len(rows.relevance) != len(rows):
        raise DatasetError(
            f"the ranker needs a row of features and a gain for each candidate, {shape}; "
            f"got {rows.matrix.shape} and {len(rows.relevance)}"
        )
    if (np.diff(rows.groups) < 0).any():
        raise DatasetError("the candidates of a request stand together, requests ascending; got them out of order")
    if not (np.isfinite(rows.relevance) & (rows.relevance >= 0)).all():
        raise DatasetError(f"a gain is a finite number of at least 0; got {_worst(rows.relevance)}")
    infinite = np.isinf(rows.matrix).any(axis=0)
    if infinite.any():
        named = [feature_names[i] for i in np.flatnonzero(infinite)[:3]]
        raise DatasetError(f"a feature is a finite number, or NaN where it is missing; infinite in {', '.join(named)}")
    return rows


def informative(rows: QueryGroups) -> tuple[QueryGroups, Dropped]:
    """Without the requests whose candidates all have the same gain [n]: no pair of theirs has an order."""
    if len(rows) == 0:
        return rows, Dropped(0, 0)
    starts = group_starts(rows.groups)
    low, high = (reduce(rows.relevance, starts) for reduce in (np.minimum.reduceat, np.maximum.reduceat))
    empty, full = high <= 0, (low == high) & (high > 0)
    kept = np.repeat(~(empty | full), np.diff([*starts, len(rows)]))
    return rows.take(kept), Dropped(int(empty.sum()), int(full.sum()))


def group_starts(groups: Array) -> Array:
    """Where each request begins [r]."""
    return np.flatnonzero(np.r_[True, groups[1:] != groups[:-1]]) if len(groups) else np.zeros(0, np.int64)


def _worst(gains: Array) -> float:
    bad = gains[~(np.isfinite(gains) & (gains >= 0))]
    return float(bad.ravel()[0])
