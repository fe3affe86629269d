"""Challenger less champion in each segment of users: a guardrail of promotion, since a mean hides who pays for it."""

from dataclasses import asdict
from typing import Any

import numpy as np

from training.evaluation.segments import by_segment

Array = np.ndarray[Any, Any]


def segment_lift(
    champion: Array, challenger: Array, segments: Array, user: Array, *, metric: str, seed: int
) -> list[dict[str, Any]]:
    """A row for each segment: users and requests, the champion's value, and the paired difference with its interval.

    `champion` and `challenger` are values of one metric over the same requests, `segments` and `user` theirs: all
    [requests]. `low` and `high` are None where fewer than two users make a segment up.
    """
    found = by_segment({"lift": challenger - champion, metric: champion}, segments, user, np.random.default_rng(seed))
    champions = {row.segment: row.value for row in found if row.metric == metric}
    return [
        {
            "segment": row.segment,
            "metric": metric,
            "requests": row.requests,
            "users": row.users,
            "champion": champions[row.segment],
            **(asdict(row.interval) if row.interval else {"value": row.value, "low": None, "high": None}),
        }
        for row in found
        if row.metric == "lift"
    ]
