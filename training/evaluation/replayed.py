"""Replay a window with one recommender: what it and its single stages would have recommended at every moment."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from feast import FeatureStore

from feature_repo.core.errors import DatasetError
from training.bundle import Bundle
from training.ranker_features import feature_matrix
from training.recommender import POPULAR, Recommender, Scored, build_recommender
from training.replay import ItemTimeline, Moment
from training.retrieval.answers import answer_of
from training.retrieval.fusion import lists_of
from training.retrieval.popular_within import BY_SEGMENT
from training.retrieval.port import Retriever
from training.turns import Found, in_turn, joined

Array = np.ndarray[Any, Any]

K = 10
TWO_STAGE = "two-stage"


@dataclass(frozen=True)
class Replayed:
    """For each model and request the K best rows of the item table [requests, K]; -1 fills short slates.

    The ranker's work over all c candidates: `request` [c] numbers the request of each, `scores` [c], `clicked` [c];
    and of what the two-stage model showed [s]: `shown` are rows of the candidates, `features` [s, f] the ranker's.
    """

    slates: dict[str, Array]
    request: Array
    scores: Array
    clicked: Array
    shown: Array
    features: Array


def replay(
    store: FeatureStore,
    bundle: Bundle,
    timeline: ItemTimeline,
    asked: list[Moment],
    on_request: Callable[[], None],
    *,
    beside: Sequence[Retriever] = (),
) -> Replayed:
    """Every moment asks for a slate of K, and only then its events become state.

    The models are the bundle's retrievers, each alone, those of `beside`, and the two-stage recommender.
    """
    by_segment = any(retriever.name == BY_SEGMENT for retriever in beside)
    recommender = build_recommender(bundle, timeline.table, segments=by_segment)
    models = (*bundle.manifest.retrievers, *(retriever.name for retriever in beside), TWO_STAGE)
    slates = {model: np.full((len(asked), K), -1, np.int64) for model in models}
    ranked: list[tuple[Array, Array, Array]] = []
    shown, features, places = [], [], 0
    for turns in in_turn(store, [recommender], timeline, asked, k=K):
        found: list[Found] = []
        for number, (one,) in turns:
            scored = recommender.score(one)
            for model, rows in _alone(recommender, scored, beside).items():
                slates[model][number, : len(rows)] = rows
            retrieved = recommender.candidates(scored)
            # Features are taken now: the next request finds the items in another state.
            found.append((retrieved, recommender.candidate_rows(retrieved, request=len(found))))
            on_request()
        for number, (rows, matrix, scores) in enumerate(_ranked(recommender, found), len(ranked)):
            order = np.argsort(-scores, kind="stable")[:K]
            slates[TWO_STAGE][number, : len(order)] = rows[order]
            wanted = timeline.table.rows.of(asked[number].items)
            ranked.append((np.full(len(rows), number), scores, np.isin(rows, wanted)))
            shown.append(places + order)
            features.append(matrix[order])
            places += len(rows)
    if not places:
        raise DatasetError(f"a replay needs a request that can be answered; none of {len(asked)} got a slate")
    numbers, scores, clicks = (np.concatenate(column) for column in zip(*ranked, strict=True))
    return Replayed(slates, numbers, scores, clicks, np.concatenate(shown), np.concatenate(features))


def _ranked(recommender: Recommender, found: Sequence[Found]) -> Iterator[tuple[Array, Array, Array]]:
    """Rows [c], features [c, f] and ranker scores [c] of the candidates of each request, all ranked at once."""
    matrix = feature_matrix(recommender.bundle.encoder, *joined(found))
    scores = recommender.rank_scores(matrix) if len(matrix) else np.zeros(0, np.float32)
    ends = np.cumsum([len(retrieved.rows) for retrieved, _ in found])
    parts = (np.split(values, ends[:-1]) for values in (matrix, scores))
    return zip((retrieved.rows for retrieved, _ in found), *parts, strict=True)


def _alone(recommender: Recommender, scored: Scored, beside: Sequence[Retriever]) -> Mapping[str, Array]:
    """The slate of each retriever alone. Where it has too little to say, popular items fill it, as in any product."""
    may = scored.allowed
    others = {r.name: answer_of(r, scored.query, recommender.catalogue) for r in beside}
    enough = recommender.bundle.candidates.depth >= K
    found = {model: rows[:K] for model, rows in scored.lists.items()} if enough else lists_of(scored.answers, may, K)
    found |= lists_of(others, may, K)
    popular = found.get(POPULAR, np.zeros(0, np.int64))
    slates = {}
    for model, own in found.items():
        slates[model] = np.concatenate([own, popular[~np.isin(popular, own)]])[:K] if len(own) < K else own
    return slates
