"""What a recommender is asked and what it answers: the words that travel between replay, service and log."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Request:
    """What is asked: `moment` is UTC; `session` holds item ids of this visit, oldest first."""

    user_id: str
    moment: datetime
    k: int = 10
    context: Mapping[str, str] = field(default_factory=dict)
    exclude: frozenset[str] = frozenset()
    session: tuple[str, ...] = ()


@dataclass(frozen=True)
class RankedItem:
    """An item of a slate. `propensity` is the probability that it holds this place; deterministic places have 1.

    `reason` is a sentence's part for a person to read, empty where nobody asked for one.
    """

    item_id: str
    score: float
    rank: int
    source: str
    propensity: float = 1.0
    reason: str = ""


@dataclass(frozen=True)
class Candidates:
    """What the ranker saw, one row a candidate: ids and sources [c], features [c, f], scores [c] of the ranker."""

    item_ids: Array
    sources: Array
    features: Array
    scores: Array


@dataclass(frozen=True)
class Slate:
    """The answer, best first, and all that led to it. `degraded` names the parts that did not work."""

    items: tuple[RankedItem, ...]
    candidates: Candidates
    degraded: tuple[str, ...] = ()


def no_candidates(features: int) -> Candidates:
    empty = np.zeros(0, object)
    return Candidates(empty, empty, np.zeros((0, features), np.float32), np.zeros(0, np.float32))
