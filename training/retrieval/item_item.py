"""What retrievers have in common that are weights between items: all but how the weights are fitted."""

from collections.abc import Callable, Mapping
from typing import Self

import numpy as np
from scipy import sparse

from training.retrieval.answers import Answer, Kept, Sums
from training.retrieval.port import Array, Catalogue, Log, Queries, spread
from training.retrieval.sparse_top import ItemWeights, compact, cut
from training.settings import SparseTopSettings


class ItemItem:
    """Scores items by the weights between them and the items met; `fit` sets `_weights`."""

    servable = True
    _weights: ItemWeights

    def scores(self, queries: Queries, catalogue: Catalogue) -> Array:
        return spread(self._weights.scores(self._bags(queries, catalogue)), catalogue)

    def answer(self, queries: Queries, catalogue: Kept) -> Answer:
        return Sums(self._weights.sums(*self._bag(queries, catalogue)), catalogue, self._weights.reach)

    def arrays(self) -> dict[str, Array]:
        return self._weights.arrays()

    def restore(self, arrays: Mapping[str, Array]) -> Self:
        self._weights = ItemWeights.restore(arrays)
        return self

    def _bags(self, queries: Queries, catalogue: Catalogue) -> sparse.csr_array:  # noqa: ARG002 - for others to use
        """What the weights are summed over, [q, i]: all that was met."""
        return queries.met

    def _bag(self, queries: Queries, catalogue: Catalogue) -> tuple[Array, Array]:  # noqa: ARG002 - as above
        """The same of a single query: items [b], and their weights, float32."""
        return queries.met.indices, queries.met.data


def of_most_met(
    log: Log, most_items: int, weights_of: Callable[[Array], Array], settings: SparseTopSettings
) -> ItemWeights:
    """Weights among the `most_items` items that most users met; `weights_of(items [b])` gives them dense, [b, b]."""
    items = len(log.item_ids)
    popular = np.argsort(-log.met.sum(axis=0), kind="stable")
    block = np.sort(popular[:most_items])
    weights = weights_of(block)
    if len(block) == items:
        return compact(weights, settings)
    return ItemWeights(widened(cut(weights, settings), block, items))


def widened(weights: sparse.csr_array, block: Array, items: int) -> sparse.csr_array:
    """Weights of the items `block` as weights [items, items] of the whole vocabulary."""
    lengths = np.zeros(items + 1, np.int32)
    lengths[block + 1] = np.diff(weights.indptr)
    parts = (weights.data, block[weights.indices].astype(np.int32), np.cumsum(lengths, dtype=np.int32))
    return sparse.csr_array(parts, shape=(items, items))
