"""Requests that open a visit: what the user meets later counts for them, too.

Within a visit the next item is close to the last ones. At its opening, after a pause or the first time, nobody knows
what it will be about, and one slate has to serve all of it. Openings are few, so they are repeated.
"""

from typing import Any

import numpy as np

from training.ranking.candidates import RankerRows
from training.ranking.relevance import answers
from training.replay import Moment
from training.settings import RankerSettings

Array = np.ndarray[Any, Any]

RECENCY = "user_recency_days"


def openings(rows: RankerRows, feature_names: tuple[str, ...], settings: RankerSettings) -> Array:
    """True for the candidates [n] of requests by users who were away for `pause_hours`, or never there."""
    days = rows.matrix[:, feature_names.index(RECENCY)]
    opening: Array = np.isnan(days) | (days * 24 > settings.pause_hours)
    return opening


def with_later(rows: RankerRows, opening: Array, after: list[Moment], until_us: int) -> RankerRows:
    """What users went on to at any moment of `after` between an opening and `until_us` answers it as well."""
    of_user: dict[str, list[Moment]] = {}
    for moment in after:
        of_user.setdefault(moment.user_id, []).append(moment)
    events = [
        (int(number), item, kind)
        for number in np.unique(rows.request[opening])
        for moment in of_user.get(rows.asked[number].user_id, [])
        if rows.asked[number].moment_us < moment.moment_us < until_us
        for item, kind in zip(moment.items, moment.event_types, strict=True)
    ]
    return rows.also_answered(answers(rows.request, rows.item_ids, events, rows.event_types))


def repeated(request: Array, opening: Array, times: int) -> tuple[Array, Array]:
    """Rows [m] of all candidates and again those of openings, `times` in all; and their request numbers [m]."""
    again = np.flatnonzero(opening)
    step = int(request.max(initial=-1)) + 1
    rows = [np.arange(len(request)), *[again] * (times - 1)]
    numbers = [request, *(request[again] + turn * step for turn in range(1, times))]
    return np.concatenate(rows), np.concatenate(numbers)
