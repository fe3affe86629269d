"""The candidates of a batch of queries: the best of several retrievers, each with every retriever's score and rank.

The lists are merged by reciprocal rank fusion (Cormack, Clarke and Büttcher, SIGIR 2009): it needs no common scale.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from training.retrieval.answers import Answer
from training.retrieval.port import NOTHING

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


def merge(answers: Mapping[str, Answer], lists: Mapping[str, Array], *, depth: int, total: int) -> Candidates:
    """What `fuse` gives for a single query, from answers and their `lists` of `depth` instead of all scores."""
    together = np.concatenate([*lists.values()])
    order = _ascending(together)
    rows = together.take(order)
    first = np.ones(len(order), bool)
    np.not_equal(rows[1:], rows[:-1], out=first[1:])
    rows = rows[first]
    whose, rank, reciprocal = _of_lists(tuple(map(len, lists.values())), depth)
    cells = whose.take(order) * len(rows) + (first.cumsum() - 1)
    fused = np.zeros((len(lists), len(rows)), np.float32)
    fused.ravel()[cells] = reciprocal.take(order)
    # The bits of floats that are not negative are in the order of the floats.
    chosen = _ascending(-fused.sum(axis=0).view(np.int32))[:total]
    ranks = np.full(fused.shape, depth + 1, np.float32)
    ranks.ravel()[cells] = rank.take(order)
    rows, ranks = rows.take(chosen), ranks.take(chosen, axis=1)
    values = np.empty(ranks.shape, np.float32)
    for of_answer, answer in zip(values, answers.values(), strict=True):
        of_answer[:] = answer.at(rows)
    values[values == NOTHING] = np.nan
    return Candidates(np.zeros(len(rows), np.int64), rows, ranks.argmin(axis=0), values.T, ranks.T)


def _ascending(numbers: Array) -> Array:
    """Places of whole numbers of up to 32 bits, the lowest first, of equal ones the first.

    That is a stable argsort, in a third of the time: what is sorted holds both the number and its place.
    """
    both = (numbers.astype(np.int64) << 32) | np.arange(len(numbers))
    both.sort()
    return both & 0xFFFF_FFFF


@lru_cache(maxsize=64)
def _of_lists(lengths: tuple[int, ...], depth: int) -> tuple[Array, Array, Array]:
    """Of each entry of lists of these lengths, one behind the other: its list, its rank there and what that counts."""
    ranks = np.concatenate([np.arange(1, length + 1, dtype=np.float32) for length in lengths])
    return np.repeat(np.arange(len(lengths)), lengths), ranks, _reciprocal(ranks, depth)


def lists_of(answers: Mapping[str, Answer], allowed: Array, depth: int) -> dict[str, Array]:
    """The `depth` best rows of each answer, of those that are `allowed` [m]."""
    return {name: answer.best(depth, allowed) for name, answer in answers.items()}


def score_feature(name: str) -> str:
    return f"{name.replace('-', '_')}_score"


def rank_feature(name: str) -> str:
    return f"{name.replace('-', '_')}_rank"


def retrieval_features(names: Sequence[str]) -> tuple[str, ...]:
    """Names of the columns that `as_columns` gives, in its order."""
    return _retrieval_features(tuple(names))


@lru_cache(maxsize=64)
def _retrieval_features(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(feature(name) for name in names for feature in (score_feature, rank_feature))


def as_columns(names: Sequence[str], found: Candidates) -> dict[str, Array]:
    """Scores and ranks as one float32 column [n] each."""
    columns = (values[:, at] for at in range(len(names)) for values in (found.scores, found.ranks))
    return dict(zip(retrieval_features(names), columns, strict=True))


def no_retrieval(names: Sequence[str], count: int, *, depth: int) -> dict[str, Array]:
    """The columns [count] of `as_columns` for retrievers that were not asked."""
    values = (np.full(count, value, np.float32) for _ in names for value in (np.nan, depth + 1))
    return dict(zip(retrieval_features(names), values, strict=True))


def best(scores: Array, count: int) -> Array:
    """Columns of the `count` highest scores of each row [q, count], best first; of equal ones the first."""
    count = min(count, scores.shape[1])
    if count == 0:
        return np.zeros((len(scores), 0), np.int64)
    found = np.argpartition(-scores, count - 1, axis=1)[:, :count]
    _settle_ties(scores, found)
    found.sort(axis=1)
    order = np.argsort(-np.take_along_axis(scores, found, axis=1), axis=1, kind="stable")
    return np.take_along_axis(found, order, axis=1)


def _settle_ties(scores: Array, found: Array) -> None:
    """Of equal scores at the border of `found` [q, count] take the first columns, in place.

    A partition takes any of them, and another processor others.
    """
    border = np.take_along_axis(scores, found, axis=1).min(axis=1, keepdims=True)
    at_least = (scores >= border).sum(axis=1)
    for row in np.flatnonzero((at_least > found.shape[1]) & np.isfinite(border[:, 0])):
        above = np.flatnonzero(scores[row] > border[row])
        ties = np.flatnonzero(scores[row] == border[row])
        found[row] = np.concatenate([above, ties[: found.shape[1] - len(above)]])


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
