"""Nearness to a query's vector as an answer: the index proposes items, and those it lacks are searched beside it."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from training.retrieval.answers import Kept, highest
from training.retrieval.index import ItemIndex

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Nearness:
    """Unit vectors `embeddings` [m, d] of a catalogue, `index` over those of the vocabulary."""

    index: ItemIndex
    embeddings: Array
    later: Array  # rows of the catalogue that the index lacks
    rows: Array | None  # row of the catalogue of each of the index's; None where they are the same ones
    held: Array | None  # which of the index's rows the catalogue has; None for all

    def answer(self, query: Array) -> "Near":
        """Cosines of all items with `query` [d]."""
        return Near(self, query)


@dataclass(frozen=True)
class Near:
    """Cosines of one query and every item."""

    nearness: Nearness
    query: Array

    def best(self, count: int, allowed: Array) -> Array:
        if self.nearness.index.cells is None:
            rows = np.flatnonzero(allowed)
            return highest(rows, (self.nearness.embeddings @ self.query)[rows], count)
        rows = self._proposed(count, allowed)
        return highest(rows, self.at(rows), count)

    def at(self, rows: Array) -> Array:
        cosines: Array = self.nearness.embeddings.take(rows, axis=0) @ self.query  # take copies whole rows
        return cosines

    def _proposed(self, count: int, allowed: Array) -> Array:
        """Rows of the catalogue among which the `count` nearest allowed ones are."""
        known = self.nearness
        if known.rows is None:
            return known.index.near(self.query, count, allowed)
        may = allowed.take(known.rows)
        if known.held is not None:
            may &= known.held
        rows: Array = known.rows.take(known.index.near(self.query, count, may))
        later = known.later[allowed[known.later]]
        return np.concatenate([rows, later]) if len(later) else rows


def nearness_over(index: ItemIndex, catalogue: Kept, embeddings: Array) -> Nearness:
    """`index` for a catalogue, some items of which may have come after it, and some of its own may be gone."""
    rows, later = catalogue.rows_of, np.flatnonzero(catalogue.known < 0)
    if len(rows) == len(embeddings) and (rows == np.arange(len(rows))).all():
        return Nearness(index, embeddings, later, None, None)
    held = rows >= 0
    return Nearness(index, embeddings, later, rows, None if held.all() else held)
