"""Every user's candidates from fitted retrievers, with the columns that the ranker reads.

Scores of different retrievers, and of users with bags of different sizes, have no common scale. So each is taken as a
standard score over the items that may be recommended to that user.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from training.retrieval.fusion import best, fuse, rank_feature, score_feature
from training.retrieval.port import Array, Retriever
from training.static.one_moment import OneMoment, Pairs

USERS_AT_ONCE = 512  # bounds the memory of whole score matrices
OF_PAIR = ("met_items", "item_users")


@dataclass(frozen=True)
class Plan:
    """How lists are merged: who proposes candidates, how many of each, how many in all; the length of a slate."""

    proposing: Sequence[str]
    depth: int
    total: int
    k: int


@dataclass(frozen=True)
class Ranked:
    """Of q users: `lists` [q, k] the best items of each of r retrievers, -1 after the last; and n candidates.

    `user`, `item` [n] are rows, users ascending; `scores`, `ranks` [n, r] of every retriever, `pair` [n, 2] OF_PAIR.
    """

    lists: Mapping[str, Array]
    user: Array
    item: Array
    scores: Array
    ranks: Array
    pair: Array


def columns(names: Sequence[str]) -> tuple[str, ...]:
    """Names of the columns of `matrix`."""
    return (*map(score_feature, names), *map(rank_feature, names), *OF_PAIR, "blend")


def matrix(found: Ranked, blend: Array) -> Array:
    """What the ranker reads of candidates [n, f]; `blend` [n] is the linear blend of their scores."""
    return np.concatenate([found.scores, found.ranks, found.pair, blend[:, None]], axis=1).astype(np.float32)


def ranked(pairs: Pairs, fitted: Mapping[str, Retriever], users: Array, plan: Plan) -> Ranked:
    """What `fitted` say to the rows `users`, ascending, without the items that they met."""
    catalogue = OneMoment(pairs)
    parts = []
    for at in range(0, len(users), USERS_AT_ONCE):
        asked = users[at : at + USERS_AT_ONCE]
        queries = pairs.queries(asked)
        scores = {name: one.scores(queries, catalogue) for name, one in fitted.items()}
        parts.append(_block(scores, queries.met.toarray() == 0, asked, catalogue.counts, plan))
    joined = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in ("user", "item", "scores", "ranks", "pair")
    }
    return Ranked({name: np.concatenate([part.lists[name] for part in parts]) for name in fitted}, **joined)


def _block(scores: Mapping[str, Array], allowed: Array, users: Array, counts: Array, plan: Plan) -> Ranked:
    found = fuse({name: scores[name] for name in plan.proposing}, allowed, depth=plan.depth, total=plan.total)
    order = np.lexsort((found.rows, found.query))
    query, rows = found.query[order], found.rows[order]
    lists, standard, ranks = {}, [], []
    for name, one in scores.items():
        masked = np.where(allowed, one, -np.inf)
        top = best(masked, max(plan.depth, plan.k))
        there = np.isfinite(np.take_along_axis(masked, top, axis=1))
        lists[name] = np.where(there, top, -1)[:, : plan.k]
        places = np.full(one.shape, plan.depth + 1, np.float32)
        numbers = np.minimum(np.arange(1, top.shape[1] + 1), plan.depth + 1)
        np.put_along_axis(places, top, np.where(there, numbers, plan.depth + 1).astype(np.float32), axis=1)
        ranks.append(places[query, rows])
        standard.append(standard_scores(masked)[query, rows])
    pair = np.stack([(~allowed).sum(axis=1)[query], counts[rows]], axis=1).astype(np.float32)
    return Ranked(lists, users[query], rows, np.stack(standard, axis=1), np.stack(ranks, axis=1), pair)


def standard_scores(scores: Array) -> Array:
    """Each row less its mean over its deviation, float32 [q, m]; NaN where a score is not finite.

    0 where all of a row are equal, which is asked of the scores: their mean may differ from them in the last digit.
    """
    known = np.isfinite(scores)
    count = np.maximum(known.sum(axis=1, keepdims=True), 1)
    mean = np.where(known, scores, 0).sum(axis=1, keepdims=True) / count
    centred = np.where(known, scores - mean, 0)
    deviation = np.sqrt((centred**2).sum(axis=1, keepdims=True) / count)
    most = np.where(known, scores, -np.inf).max(axis=1, initial=-np.inf)
    least = np.where(known, scores, np.inf).min(axis=1, initial=np.inf)
    centred[most == least] = 0
    return np.where(known, centred / np.where(deviation > 0, deviation, 1), np.nan).astype(np.float32)
