"""Several objectives at once: each says what events are worth to it, and has a share in the whole."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from feature_repo.core.errors import SettingsRefused
from training.ranking.relevance import gains
from training.settings import Objective

Array = np.ndarray[Any, Any]


def gains_by_objective(answered: Array, event_types: Sequence[str], objectives: Sequence[Objective]) -> Array:
    """float32 [n, o]: the gain of each candidate under each objective; `answered` is bool [n, t].

    Raises:
        SettingsRefused: an objective weighs an event type that the log does not have.
    """
    for objective in objectives:
        unknown = sorted(set(objective.weights) - set(event_types))
        if unknown:
            raise SettingsRefused(
                f"objective {objective.name!r} weighs event types of the log, {', '.join(event_types)}; "
                f"got {', '.join(unknown)}"
            )
    return np.stack([gains(answered, event_types, objective.weights) for objective in objectives], axis=1)


def weighted_gains(relevance: Array, objectives: Sequence[Objective]) -> Array:
    """One gain [n] of several [n, o]: their mean by share. What has one column already is that column.

    Deterministic label aggregation in the words of Carmel et al., "Multi-Objective Ranking Optimization for Product
    Search Using Stochastic Label Aggregation" (WWW 2020).

    Raises:
        SettingsRefused: there is not one column for each objective.
    """
    if relevance.ndim == 1:
        return relevance
    if relevance.shape[1] != len(objectives):
        raise SettingsRefused(
            f"the ranker needs one column of gains for each of {len(objectives)} objectives; got {relevance.shape[1]}"
        )
    summed: Array = relevance @ shares(objectives)
    return summed.astype(np.float32)


def shares(objectives: Sequence[Objective]) -> Array:
    """The shares [o], so that they sum to 1."""
    found = np.array([objective.share for objective in objectives])
    whole: Array = found / found.sum()
    return whole
