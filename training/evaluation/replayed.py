"""Replay a window with one recommender: what it and its single stages would have recommended at every moment."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from feast import FeatureStore

from feature_repo.core.errors import DatasetError
from training.bundle import Bundle
from training.recommender import build_recommender
from training.replay import ItemTimeline, Moment, user_rows
from training.slate import Candidates, Request

Array = np.ndarray[Any, Any]

K = 10
MODELS = ("popular", "two-tower", "two-stage")


@dataclass(frozen=True)
class Replayed:
    """For each model and request the K best rows of the item table; -1 fills short slates. `hits` likewise."""

    slates: dict[str, Array]
    hits: dict[str, Array]
    relevant: Array
    features: Array
    scores: Array
    shown_request: Array


def replay(
    store: FeatureStore,
    bundle: Bundle,
    timeline: ItemTimeline,
    asked: list[Moment],
    on_request: Callable[[], None],
) -> Replayed:
    """Every moment asks for a slate of K, and only then its events become state."""
    recommender = build_recommender(bundle, timeline.table)
    rank_column = {name: bundle.ranker_features.index(name) for name in ("popular_rank", "two_tower_rank")}
    slates = {model: np.full((len(asked), K), -1, np.int64) for model in MODELS}
    shown, scores, requests = [], [], []
    for number, (moment, user) in enumerate(zip(asked, user_rows(store, asked), strict=True)):
        recommender.items_changed(timeline.advance(moment.moment_us))
        request = Request(moment.user_id, moment.time, k=K, context=moment.context)
        candidates = recommender.recommend(request, user).candidates
        if len(candidates.scores):
            orders = _orders(candidates, rank_column)
            rows = np.array([timeline.table.rows[i] for i in candidates.item_ids], np.int64)
            for model, order in orders.items():
                slates[model][number, : len(order)] = rows[order]
            best = orders["two-stage"]
            shown.append(candidates.features[best])
            scores.append(candidates.scores[best])
            requests.append(np.full(len(best), number))
        on_request()
    if not shown:
        raise DatasetError(f"a replay needs a request that can be answered; none of {len(asked)} got a slate")
    hits = {model: _hits(slate, timeline, asked) for model, slate in slates.items()}
    relevant = np.array([len(m.items) for m in asked])
    return Replayed(slates, hits, relevant, np.concatenate(shown), np.concatenate(scores), np.concatenate(requests))


def _orders(candidates: Candidates, rank_column: dict[str, int]) -> dict[str, Array]:
    """Positions of each model's K best candidates: the retrievers' own orders are columns of the ranker's matrix."""
    popular = candidates.features[:, rank_column["popular_rank"]]
    near = candidates.features[:, rank_column["two_tower_rank"]]
    return {
        "popular": np.argsort(popular, kind="stable")[:K],
        "two-tower": np.argsort(near, kind="stable")[:K],
        "two-stage": np.argsort(-candidates.scores, kind="stable")[:K],
    }


def _hits(slates: Array, timeline: ItemTimeline, asked: list[Moment]) -> Array:
    hits = np.zeros(slates.shape)
    for number, moment in enumerate(asked):
        hits[number] = np.isin(slates[number], [timeline.table.rows[i] for i in moment.items])
    return hits
