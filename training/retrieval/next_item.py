"""Next item: what users met soon after, or soon before, the items that this user met last.

Sequential rules (Ludewig and Jannach, "Evaluation of session-based recommendation algorithms", UMUAI 2018): an item k
that follows j by d moments of the same user counts 1 / d, an item that came d moments before it `backward` / d, and
one of the same moment 1; the counts of j are divided by their sum plus `shrinkage`. What was met lately counts most:
half as much for every `half_life` moments that came after it.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Self

import numpy as np
from scipy import sparse

from training.retrieval.bags import Bag, ordered, stacked
from training.retrieval.item_item import ItemItem
from training.retrieval.port import Array, Catalogue, Log, Queries
from training.retrieval.sparse_top import ItemWeights, largest_of_rows
from training.settings import NextItemSettings, SparseTopSettings


class NextItem(ItemItem):
    name = "next-item"

    def __init__(self, settings: NextItemSettings, sparse: SparseTopSettings) -> None:
        self._settings = settings
        self._top_n = sparse.top_n

    def fit(self, log: Log, *, seed: int) -> Self:  # noqa: ARG002 - counting has nothing to draw
        sources, targets = pairs_of_moments(log, self._settings.window, self._settings.backward)
        by_source = sparse.csr_array(sources.T)

        def shares(rows: slice) -> sparse.csr_array:
            return _shares(sparse.csr_array(by_source[rows] @ targets), rows.start, self._settings.shrinkage)

        self._weights = ItemWeights(largest_of_rows(len(log.item_ids), shares, self._top_n))
        return self

    def _bags(self, queries: Queries, catalogue: Catalogue) -> sparse.csr_array:
        return stacked(self._met(queries, catalogue), self._weights.matrix.shape[0])

    def _bag(self, queries: Queries, catalogue: Catalogue) -> tuple[Array, Array]:
        return ordered(self._met(queries, catalogue)[0])

    def _met(self, queries: Queries, catalogue: Catalogue) -> list[Bag]:
        """The last items of each history as rows of the vocabulary, weighted by recency."""
        history = queries.history[:, -self._settings.last_items :]
        times = queries.history_us[:, -self._settings.last_items :]
        rows = np.where(history < 0, history, catalogue.known.take(history)) if len(catalogue.known) else history
        return [self._counted(*one) for one in zip(rows.tolist(), times.tolist(), strict=True)]

    def _counted(self, rows: Sequence[int], times: Sequence[int]) -> Bag:
        bag: dict[int, float] = {}
        weights, moment, weight = iter(self._recency), None, 0.0
        for row, time in zip(reversed(rows), reversed(times), strict=True):
            if time != moment:
                moment, weight = time, next(weights)
            if row >= 0:
                bag[row] = bag.get(row, 0.0) + weight
        return bag

    @cached_property
    def _recency(self) -> list[float]:
        """What a meeting counts by the moments after it [last_items]."""
        recency: list[float] = (0.5 ** (np.arange(self._settings.last_items) / self._settings.half_life)).tolist()
        return recency


def pairs_of_moments(log: Log, window: int, backward: float) -> tuple[sparse.csr_array, sparse.csr_array]:
    """Pairs of moments of one user that are up to `window` apart: items of the first, and of the second with what they
    count, [pairs, i] each. A moment makes a pair with itself, too."""
    order = np.lexsort((log.moments_us, log.users))
    users, times, items = log.users[order], log.moments_us[order], log.items[order]
    begins = np.ones(len(order), bool)
    begins[1:] = (users[1:] != users[:-1]) | (times[1:] != times[:-1])
    moments, of_moment = np.cumsum(begins) - 1, users[begins]
    ones = np.ones(len(order), np.float32)
    met = sparse.csr_array((ones, (moments, items)), shape=(len(of_moment), len(log.item_ids)))
    here = np.arange(len(of_moment))
    first, second, counts = [here], [here], [np.ones(len(here))]
    for distance in range(1, window + 1):
        earlier = np.flatnonzero(of_moment[:-distance] == of_moment[distance:])
        first += [earlier, earlier + distance]
        second += [earlier + distance, earlier]
        counts += [np.full(len(earlier), 1 / distance), np.full(len(earlier), backward / distance)]
    weights = sparse.diags_array(np.concatenate(counts).astype(np.float32))
    return sparse.csr_array(met[np.concatenate(first)]), sparse.csr_array(weights @ met[np.concatenate(second)])


def _shares(counts: sparse.csr_array, first: int, shrinkage: float) -> sparse.csr_array:
    """Counts [b, i] of the items from `first` on, without that of each with itself, over their sum plus `shrinkage`."""
    rows = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))
    others = np.where(counts.indices == rows + first, 0.0, counts.data)
    sums = np.bincount(rows, others, minlength=counts.shape[0]) + shrinkage
    shares = np.divide(others, sums[rows], out=np.zeros_like(others), where=others > 0)
    parts = (shares.astype(np.float32), counts.indices, counts.indptr)
    found = sparse.csr_array(parts, shape=counts.shape)
    found.eliminate_zeros()
    return found
