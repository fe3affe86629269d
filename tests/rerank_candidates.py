"""Candidates for re-ranking, by hand: what a test does not say is harmless."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from serving.rerank.policy import RerankPolicy
from serving.rerank.ranked import Ranked, Reranked
from serving.rerank.rerank import rerank
from serving.rerank.rewards import NO_REWARDS, Rewards
from serving.rerank.rules import Rules
from training.slate import Request

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)  # a Wednesday


def candidates(
    scores: Sequence[float],
    *,
    embeddings: Any = None,
    age_days: Sequence[float] | None = None,
    popularity: Sequence[float] | None = None,
    **attributes: Any,
) -> Ranked:
    """Items i0, i1, ... with `scores`; attributes are objects [c], or [c, w] for several values of an item."""
    count = len(scores)
    return Ranked(
        item_ids=np.array([f"i{n}" for n in range(count)], object),
        scores=np.array(scores, np.float32),
        sources=np.full(count, "two-tower", object),
        embeddings=np.eye(count) if embeddings is None else np.asarray(embeddings, np.float32),
        attributes={name: np.array(cells, object) for name, cells in attributes.items()},
        age_days=np.full(count, 1_000.0) if age_days is None else np.array(age_days, float),
        popularity=np.zeros(count) if popularity is None else np.array(popularity, float),
    )


def policy(**stated: Any) -> RerankPolicy:
    """A policy from the fields of a rules file."""
    return RerankPolicy(Rules.model_validate(stated))


def slate(
    ranked: Ranked,
    rules: RerankPolicy,
    *,
    k: int = 10,
    seed: int = 0,
    now: datetime = NOON,
    rewards: Rewards = NO_REWARDS,
) -> Reranked:
    request = Request("u", NOON, k)
    return rerank(ranked, request, rules, rng=np.random.default_rng(seed), now=now, rewards=rewards)


def ids(reranked: Reranked) -> list[str]:
    return [f"i{row}" for row in reranked.places]
