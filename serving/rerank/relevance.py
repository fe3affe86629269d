"""Relevance of candidates on one scale for every request, with boosts."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from serving.rerank.ranked import Ranked
from serving.rerank.rules import Boost, Exposure

Array = np.ndarray[Any, Any]


def relevance(ranked: Ranked, boosts: Sequence[Boost]) -> Array:
    """Float64 [c]: 0 for the worst score of the request, 1 for the best, and what boosts add to it.

    Scores of a ranker have no zero and no unit, so a factor on them would bury what it should lift once they are
    negative. All 0 where all scores are equal.
    """
    found = between_0_and_1(ranked.scores)
    for boost in boosts:
        found[boost.matches(ranked.item_ids, ranked.attributes)] += boost.by
    return found


def between_0_and_1(scores: Array) -> Array:
    scores = scores.astype(np.float64)
    largest = np.abs(scores).max(initial=0.0)
    if largest == 0:
        return scores
    scores /= largest  # first, so that no difference overflows
    low, high = scores.min(), scores.max()
    return np.asarray((scores - low) / (high - low)) if high > low else np.zeros_like(scores)


def of_group(rule: Exposure, ranked: Ranked) -> Array:
    """Bool [c]: the candidates that an exposure rule is about."""
    found = rule.matches(ranked.item_ids, ranked.attributes)
    if rule.newer_than_days is not None:
        found &= is_new(ranked.age_days, rule.newer_than_days)
    if rule.popularity_at_most is not None:
        found &= ranked.popularity <= rule.popularity_at_most
    return found


def is_new(age_days: Array, days: float) -> Array:
    """Bool [c]; an item without an age has had no event yet."""
    return np.isnan(age_days) | (age_days < days)
