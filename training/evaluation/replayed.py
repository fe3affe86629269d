"""Replay a window with one recommender: what it and its single stages would have recommended at every moment."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from feast import FeatureStore

from feature_repo.core.errors import DatasetError
from training.bundle import Bundle
from training.recommender import POPULAR, Recommender, Scored, build_recommender
from training.replay import ItemTimeline, Moment, user_rows
from training.retrieval.fusion import best
from training.retrieval.port import Retriever
from training.slate import Request

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
    recommender = build_recommender(bundle, timeline.table)
    models = (*bundle.manifest.retrievers, *(retriever.name for retriever in beside), TWO_STAGE)
    slates = {model: np.full((len(asked), K), -1, np.int64) for model in models}
    ranked: list[tuple[Array, Array, Array]] = []
    shown, features, places = [], [], 0
    for number, (moment, user) in enumerate(zip(asked, user_rows(store, asked), strict=True)):
        recommender.items_changed(timeline.advance(moment.moment_us))
        request = Request(moment.user_id, moment.time, k=K, context=moment.context)
        scored = recommender.score(request, user)
        for model, rows in _alone(recommender, scored, beside).items():
            slates[model][number, : len(rows)] = rows
        candidates = recommender.rank(request, recommender.candidates(scored)).candidates
        order = np.argsort(-candidates.scores, kind="stable")[:K]
        slates[TWO_STAGE][number, : len(order)] = [timeline.table.rows[i] for i in candidates.item_ids[order]]
        clicked = np.isin(candidates.item_ids, np.array(moment.items, object))
        ranked.append((np.full(len(clicked), number), candidates.scores, clicked))
        shown.append(places + order)
        features.append(candidates.features[order])
        places += len(clicked)
        on_request()
    if not places:
        raise DatasetError(f"a replay needs a request that can be answered; none of {len(asked)} got a slate")
    numbers, scores, clicks = (np.concatenate(column) for column in zip(*ranked, strict=True))
    return Replayed(slates, numbers, scores, clicks, np.concatenate(shown), np.concatenate(features))


def _alone(recommender: Recommender, scored: Scored, beside: Sequence[Retriever]) -> Mapping[str, Array]:
    """The slate of each retriever alone. Where it has too little to say, popular items fill it, as in any product."""
    others = {r.name: r.scores(scored.queries, recommender.catalogue)[0] for r in beside}
    by_model = {**scored.scores, **others}
    popular = _top(by_model[POPULAR], scored.allowed) if POPULAR in by_model else np.zeros(0, np.int64)
    slates = {}
    for model, scores in by_model.items():
        own = _top(scores, scored.allowed)
        slates[model] = np.concatenate([own, popular[~np.isin(popular, own)]])[:K] if len(own) < K else own
    return slates


def _top(scores: Array, allowed: Array) -> Array:
    scores = np.where(allowed, scores, -np.inf)
    rows = best(scores[None, :], K)[0]
    return np.asarray(rows[np.isfinite(scores[rows])])
