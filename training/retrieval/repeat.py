"""Repeat consumption: what the user met before, the more often and the more recently the better.

An item's score is the logarithm of its events in the history, each halved for every half-life that has passed since,
to base 2: 0 is one event right now, -1 one event a half-life ago. Frequency and recency drive what is consumed again
(Anderson et al., "The dynamics of repeat consumption", WWW 2014).
"""

from collections.abc import Mapping
from typing import Self

import numpy as np

from feature_repo.transforms.state import MICROSECONDS_A_DAY
from training.retrieval.answers import Answer, Few, Kept
from training.retrieval.port import NOTHING, Array, Catalogue, Log, Queries
from training.settings import RepeatSettings

MOST_HALF_LIVES = 1_000.0  # beyond it a weight is no number above 0 any more


class Repeat:
    name = "repeat"
    servable = True

    def __init__(self, settings: RepeatSettings) -> None:
        self._half_life_us = settings.half_life_days * MICROSECONDS_A_DAY

    def fit(self, log: Log, *, seed: int) -> Self:  # noqa: ARG002 - the history is the request's
        return self

    def scores(self, queries: Queries, catalogue: Catalogue) -> Array:
        items = len(catalogue.item_ids)
        cells, found = self._cells(queries, items)
        scores = np.full(len(queries) * items, NOTHING, np.float32)
        scores[cells] = found
        return scores.reshape(len(queries), items)

    def answer(self, queries: Queries, catalogue: Kept) -> Answer:
        return Few(*self._cells(queries, len(catalogue.item_ids)))

    def _cells(self, queries: Queries, items: int) -> tuple[Array, Array]:
        """Ascending cells of a matrix [q, items] that have a score, and the scores, float32."""
        query, place = np.nonzero(queries.history >= 0)
        ages = queries.moments_us[query] - queries.history_us[query, place]
        weights = np.exp2(-np.clip(ages / self._half_life_us, 0.0, MOST_HALF_LIVES))
        cells, of_cell = np.unique(query * items + queries.history[query, place], return_inverse=True)
        return cells, np.log2(np.bincount(of_cell, weights, minlength=len(cells))).astype(np.float32)

    def arrays(self) -> dict[str, Array]:
        return {}

    def restore(self, arrays: Mapping[str, Array]) -> Self:  # noqa: ARG002 - nothing was fitted
        return self
