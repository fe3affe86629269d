"""From replayed slates to metrics with intervals, and to the report that people and policies read."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from training.evaluation.bootstrap import Interval, coverage_interval, mean_interval, user_weights
from training.evaluation.metrics import ndcg, recall, reciprocal_rank
from training.evaluation.replayed import MODELS, Replayed
from training.replay import Moment

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Users:
    """Which user asked each request, and how often each user is drawn in each resample."""

    of_request: Array
    weights: Array


def number_users(asked: list[Moment], rng: np.random.Generator) -> Users:
    _, numbers = np.unique(np.array([m.user_id for m in asked]), return_inverse=True)
    return Users(numbers, user_weights(int(numbers.max()) + 1, rng))


def per_request(replayed: Replayed, model: str) -> dict[str, Array]:
    """Metrics of each request [requests] for one model's slates."""
    hits, relevant = replayed.hits[model], replayed.relevant
    return {
        "ndcg@10": ndcg(hits, relevant),
        "recall@10": recall(hits, relevant),
        "mrr": reciprocal_rank(hits),
    }


def metric_rows(replayed: Replayed, users: Users, *, version: str, catalogue: int) -> list[dict[str, Any]]:
    """One row for each model and metric, with its interval."""
    rows = []
    for model in MODELS:
        found = {
            name: mean_interval(values, users.of_request, users.weights)
            for name, values in per_request(replayed, model).items()
        }
        shown = [[row for row in slate if row >= 0] for slate in replayed.slates[model].tolist()]
        found["coverage"] = coverage_interval(shown, users.of_request, users.weights, catalogue)
        rows += [{"model": model, "version": version, "metric": m, **asdict(i)} for m, i in found.items()]
    return rows


def ndcg_difference(one: Array, other: Array, users: Users) -> Interval:
    """Paired over the same requests, by user: mean of `one` minus mean of `other`, both [requests]."""
    return mean_interval(one - other, users.of_request, users.weights)
