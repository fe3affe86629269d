"""The candidates of a batch of queries: the best of several retrievers, each with every retriever's score and rank.

The lists are merged by reciprocal rank fusion (Cormack, Clarke and Büttcher, SIGIR 2009): it needs no common scale.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

SMOOTHING = 60  # the paper's k: how little the very first places count above the next ones


@dataclass(frozen=True)
class Candidates:
    """n candidates, query by query, best fused first.

    `query`, `rows` [n]: whose candidate, and its row of the catalogue; `source` [n]: the retriever that ranked it
    highest; `scores`, `ranks` float32 [n, r] of the r retrievers: NaN where one has nothing to say, and a rank beyond
    `depth` is depth + 1.
    """

    query: Array
    rows: Array
    source: Array
    scores: Array
    ranks: Array


def fuse(scores: Mapping[str, Array], allowed: Array, *, depth: int, total: int) -> Candidates:
    """Merge the `depth` best items of each retriever into at most `total` candidates a query.

    `scores` holds [q, m] for each retriever, `allowed` [q, m] is False where an item must not be recommended.
    """
    ranked = [_ranks(np.where(allowed, found, -np.inf), depth) for found in scores.values()]
    fused: Array = np.sum([_reciprocal(ranks, depth) for ranks in ranked], axis=0)
    rows = best(fused, total)
    query, place = np.nonzero(np.take_along_axis(fused, rows, axis=1) > 0)
    chosen = rows[query, place]
    ranks = np.stack([r[query, chosen] for r in ranked], axis=1)
    values = np.stack([found[query, chosen] for found in scores.values()], axis=1).astype(np.float32)
    return Candidates(query, chosen, ranks.argmin(axis=1), np.where(np.isfinite(values), values, np.nan), ranks)


def score_feature(name: str) -> str:
    return f"{name.replace('-', '_')}_score"


def rank_feature(name: str) -> str:
    return f"{name.replace('-', '_')}_rank"


def retrieval_features(names: Sequence[str]) -> tuple[str, ...]:
    """Names of the columns that `as_columns` gives, in its order."""
    return tuple(feature(name) for name in names for feature in (score_feature, rank_feature))


def as_columns(names: Sequence[str], found: Candidates) -> dict[str, Array]:
    """Scores and ranks as one float32 column [n] each."""
    columns = (values[:, at] for at in range(len(names)) for values in (found.scores, found.ranks))
    return dict(zip(retrieval_features(names), columns, strict=True))


def best(scores: Array, count: int) -> Array:
    """Columns of the `count` highest scores of each row [q, count], best first; equal scores keep their order."""
    count = min(count, scores.shape[1])
    if count == 0:
        return np.zeros((len(scores), 0), np.int64)
    found = np.sort(np.argpartition(-scores, count - 1, axis=1)[:, :count], axis=1)
    order = np.argsort(-np.take_along_axis(scores, found, axis=1), axis=1, kind="stable")
    return np.take_along_axis(found, order, axis=1)


def _ranks(scores: Array, depth: int) -> Array:
    """1 for the best of each row; depth + 1 for what is beyond `depth` or has no finite score; float32 [q, m]."""
    ranks = np.full(scores.shape, depth + 1, np.float32)
    rows = best(scores, depth)
    finite = np.isfinite(np.take_along_axis(scores, rows, axis=1))
    places = np.where(finite, np.arange(1, rows.shape[1] + 1, dtype=np.float32), depth + 1)
    np.put_along_axis(ranks, rows, places, axis=1)
    return ranks


def _reciprocal(ranks: Array, depth: int) -> Array:
    return np.where(ranks <= depth, 1.0 / (SMOOTHING + ranks), 0.0)
