"""Graded relevance: what the events that answered a request say about each of its candidates."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from feature_repo.core.errors import DatasetError

Array = np.ndarray[Any, Any]

HIGHEST_GRADE = 31  # XGBoost's limit under the exponential gain: 2^31 - 1 fits an integer


def answers(
    request: Array, item_ids: Array, events: Sequence[tuple[int, str, str]], event_types: Sequence[str]
) -> Array:
    """Which event types answered each of n candidates, bool [n, t].

    `request`, `item_ids` [n] name the candidates; `events` are (request, item, type) of what users did then. An event
    on an item that is no candidate, or of a type that is not listed, is left out.
    """
    row = {pair: at for at, pair in enumerate(zip(request.tolist(), item_ids.tolist(), strict=True))}
    column = {kind: at for at, kind in enumerate(event_types)}
    found = np.zeros((len(request), len(event_types)), bool)
    for number, item, kind in events:
        if (number, item) in row and kind in column:
            found[row[number, item], column[kind]] = True
    return found


def gains(answered: Array, event_types: Sequence[str], weights: Mapping[str, float]) -> Array:
    """float32 [n]: the largest weight among the types that answered a candidate [n, t]; 0 for none or a negative one.

    A candidate that was viewed (1) and bought (3) has the gain of the purchase.
    """
    of_type = np.array([max(float(weights.get(kind, 0.0)), 0.0) for kind in event_types], np.float32)
    found: Array = np.where(answered, of_type, np.float32(0)).max(axis=1, initial=0.0)
    return found.astype(np.float32)


def check_grades(relevance: Array) -> None:
    """Refuse what the exponential gain 2^grade - 1 (Burges et al., ICML 2005) cannot take.

    Raises:
        DatasetError: a grade is no whole number, or above HIGHEST_GRADE.
    """
    if len(relevance) and (relevance != np.floor(relevance)).any():
        odd = relevance[relevance != np.floor(relevance)][0]
        raise DatasetError(f"under the exponential gain a grade is a whole number; got {odd:g}")
    if len(relevance) and relevance.max() > HIGHEST_GRADE:
        raise DatasetError(
            f"under the exponential gain a grade is at most {HIGHEST_GRADE}; got {relevance.max():g}: "
            "set exponential_gain to false, which takes any weight as it is"
        )
