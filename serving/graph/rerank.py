"""Stage 6, re-ranking: the policy's slate over the ranked candidates, with the propensity of every place."""

from typing import TYPE_CHECKING, Any

import numpy as np

from feature_repo.dataset.split import to_microseconds
from serving.graph.explored import Explored
from serving.graph.visit import Visit
from serving.rerank.ranked import Ranked, Reranked
from serving.rerank.rerank import rerank

if TYPE_CHECKING:
    from serving.rerank.policy import RerankPolicy
    from training.recommender import Retrieved

Array = np.ndarray[Any, Any]


class RerankStage:
    """Gives the slate as places among the candidates. `rng` draws exploration, which learns from `explored`."""

    def __init__(self, rng: np.random.Generator, explored: Explored) -> None:
        self._rng = rng
        self._explored = explored

    def reranked(self, visit: Visit, retrieved: "Retrieved", scores: Array, policy: "RerankPolicy") -> Reranked:
        ranked = ranked_of(visit, retrieved, scores, policy)
        rewards = self._explored.rewards
        found = rerank(ranked, visit.request, policy, rng=self._rng, now=visit.now, rewards=rewards)
        if policy.exploration.method != "none":
            new = ~(ranked.age_days[found.places] > policy.exploration.newer_than_days)
            self._explored.shown(ranked.item_ids[found.places[new]].tolist())
        return found


def ranked_of(visit: Visit, retrieved: "Retrieved", scores: Array, policy: "RerankPolicy") -> Ranked:
    """The candidates as re-ranking takes them; of what the policy does not read, nothing is gathered."""
    recommender, rows = visit.recommender, retrieved.rows
    items = recommender.items
    plain = policy.changes_nothing
    state = {} if plain else recommender.catalogue.state(to_microseconds(visit.request.moment))
    nothing = np.zeros(len(rows), np.float32)
    return Ranked(
        item_ids=retrieved.item_ids,
        scores=scores,
        sources=retrieved.sources,
        embeddings=recommender.embeddings[rows] if policy.needs_embeddings else np.zeros((len(rows), 0), np.float32),
        attributes={name: items.columns[name][rows] for name in policy.attributes},
        age_days=nothing if plain else state["item_age_days"][rows],
        popularity=nothing if plain else state["item_events_30d"][rows],
    )


def in_order(scores: Array, k: int) -> Reranked:
    """The k best, each certain of its place: what is left where re-ranking does not work."""
    places = np.argsort(-scores, kind="stable")[:k]
    return Reranked(places, np.ones(len(places)))
