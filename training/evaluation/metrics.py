"""Ranking metrics of one request each, vectorised over requests.

`hits` is [requests, k]: 1 or true where the item at that place of the slate is relevant. `relevant` [requests] counts
all relevant items. A slate shorter than k is padded with 0. A request to which nothing is relevant has 0 in every
metric, as in trec_eval, so no value is ever NaN; leave such requests out before, where they are no part of a protocol.
No request at all is refused with `NotMeasurable`.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from feature_repo.core.errors import NotMeasurable

Array = np.ndarray[Any, Any]


def hit_rate(hits: Array, relevant: Array) -> Array:
    """1 where any relevant item is in the slate."""
    found: Array = (_checked(hits, relevant).sum(axis=1) > 0).astype(np.float64)
    return found


def recall(hits: Array, relevant: Array) -> Array:
    """Share of the relevant items that are in the slate."""
    return _share(_checked(hits, relevant).sum(axis=1), relevant)


def precision(hits: Array, relevant: Array) -> Array:
    """Share of the k places that hold a relevant item; an empty place counts as a miss."""
    found: Array = _checked(hits, relevant).mean(axis=1)
    return found


def average_precision(hits: Array, relevant: Array) -> Array:
    """Mean over requests is MAP@k: the precision at the place of each hit, summed and divided by min(k, relevant).

    So a slate full of relevant items has 1, as in Kaggle's MAP@k. trec_eval's `map_cut` divides by all relevant items.
    """
    found = _checked(hits, relevant)
    k = found.shape[1]
    precisions = found.cumsum(axis=1) / np.arange(1, k + 1)
    return _share((precisions * found).sum(axis=1), np.minimum(relevant, k))


def ndcg(hits: Array, relevant: Array) -> Array:
    """Normalised discounted cumulative gain, binary relevance (Järvelin and Kekäläinen, 2002); the ideal slate holds
    min(k, relevant) relevant items first."""
    found = _checked(hits, relevant)
    k = found.shape[1]
    discounts = _discounts(k)
    ideal = np.concatenate([[0.0], np.cumsum(discounts)])[np.minimum(relevant, k)]
    return _share(found @ discounts, ideal)


def graded_ndcg(gains: Array, ideal: Array) -> Array:
    """NDCG of graded relevance: `gains` [requests, k] of the slate's places, `ideal` [requests, k] of the best slate.

    Gains enter as they are (Järvelin and Kekäläinen, 2002), not as 2^gain - 1. They are at least 0.
    """
    if gains.shape != ideal.shape or gains.ndim != 2 or not gains.size:
        raise NotMeasurable(
            f"expected gains of slates and ideal slates, both [requests, k]; got {gains.shape} and {ideal.shape}"
        )
    if not (np.isfinite(gains).all() and np.isfinite(ideal).all() and min(gains.min(), ideal.min()) >= 0):
        raise NotMeasurable("expected gains that are finite and at least 0")
    discounts = _discounts(gains.shape[1])
    return _share(gains @ discounts, ideal @ discounts)


def reciprocal_rank(hits: Array) -> Array:
    """1 / rank of the first relevant item; 0 where the slate has none. Mean over requests is MRR@k."""
    found = _slates(hits).astype(bool)
    return np.where(found.any(axis=1), 1.0 / (1 + found.argmax(axis=1)), 0.0)


def ranking_metrics(hits: Array, relevant: Array, ks: Sequence[int]) -> dict[str, Array]:
    """Every metric at every k of `ks`, as `ndcg@10` and so on -> [requests].

    Where k is larger than the slates, they end there and the rest of the places are misses.
    """
    found: dict[str, Array] = {}
    for k in ks:
        if k < 1:
            raise NotMeasurable(f"expected a k of at least 1; got {k}")
        top = hits[:, :k]
        top = np.pad(top, ((0, 0), (0, k - top.shape[1])))
        found |= {f"{name}@{k}": metric(top, relevant) for name, metric in _OF_COUNTS.items()}
        found[f"mrr@{k}"] = reciprocal_rank(top)
    return found


_OF_COUNTS = {"ndcg": ndcg, "recall": recall, "precision": precision, "hit_rate": hit_rate, "map": average_precision}


def _slates(hits: Array) -> Array:
    if hits.ndim != 2 or not hits.size:
        raise NotMeasurable(f"expected hits [requests, k] of at least one request and place; got shape {hits.shape}")
    return hits


def _checked(hits: Array, relevant: Array) -> Array:
    """`hits` as float64, once they are known to be 0 or 1 and no more than there are relevant items."""
    found = _slates(hits).astype(np.float64)
    if relevant.shape != (len(found),):
        raise NotMeasurable(f"expected one count of relevant items per request, {len(found)}; got {relevant.shape}")
    if not ((found == 0) | (found == 1)).all():
        raise NotMeasurable("expected hits of 0 or 1; graded relevance has `graded_ndcg`")
    excess = found.sum(axis=1) > relevant
    if excess.any():
        row = int(excess.argmax())
        raise NotMeasurable(
            f"expected no more hits than relevant items; request {row} has {int(found[row].sum())} of {relevant[row]}"
        )
    return found


def _discounts(k: int) -> Array:
    discounts: Array = 1.0 / np.log2(np.arange(2, k + 2))
    return discounts


def _share(part: Array, whole: Array) -> Array:
    """part / whole, and 0 where the whole is 0."""
    share: Array = np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)
    return share
