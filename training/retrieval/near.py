"""Nearness to a query's vector as an answer: the graph proposes items, and those it lacks are searched beside it."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from training.retrieval.answers import Kept, highest
from training.retrieval.index import MOST_FETCHED, ItemIndex

Array = np.ndarray[Any, Any]

MOST_OF_GRAPH = 8  # an exact search is the faster way to more than this part of the items


@dataclass(frozen=True)
class Nearness:
    """Unit vectors `embeddings` [m, d] of a catalogue, `index` over those of the vocabulary."""

    index: ItemIndex
    catalogue: Kept
    embeddings: Array
    later: Array

    def answer(self, query: Array) -> "Near":
        """Cosines of all items with `query` [d]."""
        return Near(self, query)


@dataclass(frozen=True)
class Near:
    """Cosines of one query and every item."""

    nearness: Nearness
    query: Array

    def best(self, count: int, allowed: Array) -> Array:
        if self.nearness.index.graph is None:
            rows = np.flatnonzero(allowed)
            return highest(rows, (self.nearness.embeddings @ self.query)[rows], count)
        later = self.nearness.later
        rows = np.concatenate([self._proposed(count, allowed), later[allowed[later]]])
        return highest(rows, self.at(rows), count)

    def at(self, rows: Array) -> Array:
        cosines: Array = self.nearness.embeddings.take(rows, axis=0) @ self.query  # take copies whole rows
        return cosines

    def _proposed(self, count: int, allowed: Array) -> Array:
        """At least `count` rows near the query, as long as there are as many; `allowed` ones of the graph's."""
        index, rows_of = self.nearness.index, self.nearness.catalogue.rows_of
        wanted = MOST_FETCHED * count
        while wanted * MOST_OF_GRAPH <= len(index.vectors):
            rows = rows_of[index.near(self.query, wanted)]
            rows = rows[allowed[rows] & (rows >= 0)]
            if len(rows) >= count:
                return np.asarray(rows)
            wanted *= MOST_FETCHED
        return np.flatnonzero(allowed & (self.nearness.catalogue.known >= 0))


def nearness_over(index: ItemIndex, catalogue: Kept, embeddings: Array) -> Nearness:
    """`index` for a catalogue, some items of which may have come after it."""
    return Nearness(index, catalogue, embeddings, np.flatnonzero(catalogue.known < 0))
