"""Next item: what users met soon after, or soon before, the items that this user met last.

Sequential rules (Ludewig and Jannach, "Evaluation of session-based recommendation algorithms", UMUAI 2018): an item k
that follows j by d moments of the same user counts 1 / d, an item that came d moments before it `backward` / d, and
one of the same moment 1; the counts of j are divided by their sum plus `shrinkage`. What was met lately counts most:
half as much for every `half_life` moments that came after it.
"""

from functools import cached_property
from typing import Self

import numpy as np
from scipy import sparse

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
        """The last items of each history as rows of the vocabulary, weighted by recency, [q, i]."""
        cells, weights = self._cells(queries, catalogue)
        items = self._weights.matrix.shape[0]
        starts = np.searchsorted(cells, np.arange(len(queries) + 1) * items)
        return sparse.csr_array((weights, cells % max(items, 1), starts), shape=(len(queries), items))

    def _bag(self, queries: Queries, catalogue: Catalogue) -> tuple[Array, Array]:
        return self._cells(queries, catalogue)

    def _cells(self, queries: Queries, catalogue: Catalogue) -> tuple[Array, Array]:
        """Ascending cells of a matrix [q, i] that are not 0, and their values, float32."""
        history = queries.history[:, -self._settings.last_items :]
        times = queries.history_us[:, -self._settings.last_items :]
        later = np.zeros(history.shape, np.int64)  # moments after that of each item
        (times[:, 1:] != times[:, :-1])[:, ::-1].cumsum(axis=1, out=later[:, -2::-1])
        rows = catalogue.known.take(history) if len(catalogue.known) else history
        there = (history >= 0) & (rows >= 0)
        firsts = np.arange(len(queries))[:, None] * self._weights.matrix.shape[0]
        of_meeting = (rows + firsts)[there]
        cells = np.sort(of_meeting)
        first = np.ones(len(cells), bool)
        np.not_equal(cells[1:], cells[:-1], out=first[1:])
        cells = cells[first]
        summed = np.zeros(len(cells), np.float32)
        np.add.at(summed, cells.searchsorted(of_meeting), self._recency[later[there]])
        return cells, summed

    @cached_property
    def _recency(self) -> Array:
        """What a meeting counts by the moments after it, float32 [last_items]."""
        return (0.5 ** (np.arange(self._settings.last_items) / self._settings.half_life)).astype(np.float32)


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
