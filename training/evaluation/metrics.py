"""Ranking metrics of one request each, vectorised over requests.

`hits` is [requests, k]: 1.0 where the item at that place of the slate is relevant. `relevant` [requests] counts all
relevant items. A slate shorter than k is padded with 0.
"""

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def ndcg(hits: Array, relevant: Array) -> Array:
    """Normalised discounted cumulative gain, binary relevance (Järvelin and Kekäläinen, 2002); the ideal slate holds
    min(k, relevant) relevant items first."""
    k = hits.shape[1]
    discounts = 1.0 / np.log2(np.arange(2, k + 2))
    ideal = np.concatenate([[0.0], np.cumsum(discounts)])[np.minimum(relevant, k)]
    score: Array = np.divide(hits @ discounts, ideal, out=np.zeros(len(hits)), where=ideal > 0)
    return score


def recall(hits: Array, relevant: Array) -> Array:
    """Share of the relevant items that are in the slate."""
    share: Array = np.divide(hits.sum(axis=1), relevant, out=np.zeros(len(hits)), where=relevant > 0)
    return share


def reciprocal_rank(hits: Array) -> Array:
    """1 / rank of the first relevant item; 0 where the slate has none."""
    found = hits.any(axis=1)
    return np.where(found, 1.0 / (1 + hits.argmax(axis=1)), 0.0)
