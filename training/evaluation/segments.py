"""Metrics by segment: new, light and heavy users, new and old items."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from feature_repo.core.errors import NotMeasurable
from training.evaluation.bootstrap import Interval, mean_intervals, user_weights

Array = np.ndarray[Any, Any]

NEW, LIGHT, HEAVY, OLD = "new", "light", "heavy", "old"
HEAVY_QUANTILE = 0.8
_ORDER = {name: place for place, name in enumerate((NEW, LIGHT, HEAVY, OLD))}
DAY_US = 86_400_000_000


@dataclass(frozen=True)
class SegmentValue:
    """A metric of one segment. `interval` is None where fewer than two users make it up: nobody can be resampled."""

    segment: str
    metric: str
    requests: int
    users: int
    value: float
    interval: Interval | None


def heavy_cut(training_events: Array, quantile: float = HEAVY_QUANTILE) -> float:
    """The events above which a user is heavy: the `quantile` over users with any training event.

    `training_events` [users] counts the events of each.
    """
    active = training_events[training_events > 0]
    if not len(active):
        raise NotMeasurable("a cut between light and heavy users needs a user with a training event; got none")
    return float(np.quantile(active, quantile))


def user_segments(events_before: Array, cut: float) -> Array:
    """ "new" without an event before the request, "heavy" with more than `cut`, else "light": str [requests]."""
    return np.where(events_before == 0, NEW, np.where(events_before > cut, HEAVY, LIGHT))


def new_items(first_event_us: Array, *, end_us: int, days: float) -> Array:
    """True for items without a training event, or whose first one is less than `days` before the window's end.

    `first_event_us` [m] in microseconds since 1970, -1 for none.
    """
    new: Array = (first_event_us < 0) | (first_event_us > end_us - days * DAY_US)
    return new


def by_segment(
    metrics: Mapping[str, Array], labels: Array, user: Array, rng: np.random.Generator
) -> list[SegmentValue]:
    """A row for each segment that occurs, new ones first, and each metric [requests]; `labels` and `user` [requests].

    Users are resampled within the segment, since its size is part of what was asked.
    """
    if not len(labels):
        raise NotMeasurable("a split by segment needs at least one request; got none")
    rows = []
    for segment in sorted(np.unique(labels).tolist(), key=lambda name: (_ORDER.get(name, len(_ORDER)), name)):
        chosen = labels == segment
        _, numbers = np.unique(user[chosen], return_inverse=True)
        users = int(numbers.max()) + 1
        weights = user_weights(users, rng) if users > 1 else None
        inside = {metric: values[chosen] for metric, values in metrics.items()}
        intervals = mean_intervals(inside, numbers, weights) if weights is not None else {}
        rows += [
            SegmentValue(segment, metric, len(numbers), users, float(found.mean()), intervals.get(metric))
            for metric, found in inside.items()
        ]
    return rows
