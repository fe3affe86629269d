"""What a user and an item have to do with each other: earlier meetings, and the user's taste for its categories.

`users` hold r requests, items n candidates; `request` [n] names the request of each candidate.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import repeat
from typing import Any

import numpy as np

from feature_repo.features.columns import Columns
from feature_repo.transforms.moments import MICROSECONDS_A_DAY

Array = np.ndarray[Any, Any]

PAIR_FEATURES = ("pair_events", "pair_recency_days", "pair_interval_days", "pair_due")


def affinity_features(attributes: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"affinity_{name}" for name in attributes)


def pairs_at(users: Columns, item_ids: Array, request: Array, moment_us: Array) -> Columns:
    """PAIR_FEATURES, float32 [n], from `history_items` and `history_times` [r, h] at `moment_us` [r].

    How often the user met the item among the last events, days since the last time, the mean number of days between
    two times, and the first over the second: at 1 it is due again. NaN where there is nothing to measure.
    """
    found = np.full((len(PAIR_FEATURES), len(item_ids)), np.nan, np.float64)
    found[0] = 0
    for row, candidates in _by_request(request):
        met = _meetings(users["history_items"][row], users["history_times"][row])
        for place in candidates:
            times = met.get(item_ids[place])
            if times:
                found[:, place] = _repeats(times, int(moment_us[row]))
    return {name: values.astype(np.float32) for name, values in zip(PAIR_FEATURES, found, strict=True)}


def affinities(attributes: Sequence[str], users: Columns, items: Columns, request: Array) -> Columns:
    """`affinity_<attribute>` for each, float32 [n]; an attribute is [n], or [n, m] with several values.

    The share of the user's last likes that had the item's value; for several values the mean of their shares. NaN for
    a user without likes, 0 for an item without a value.
    """
    found = {}
    for name in attributes:
        values, taste = items[name], users[f"taste_{name}"]
        shares = np.full(len(values), np.nan, np.float32)
        for row, candidates in _by_request(request):
            liked = _shares(taste[row])
            if liked:
                shares[candidates] = _mean_shares(liked, values[candidates])
        found[f"affinity_{name}"] = shares
    return found


def _by_request(request: Array) -> Iterator[tuple[int, Array]]:
    if len(request) and (request == request[0]).all():  # as when the service asks
        yield int(request[0]), np.arange(len(request))
        return
    order = np.argsort(request, kind="stable")
    rows, starts = np.unique(request[order], return_index=True)
    ends = [*starts[1:], len(order)]
    for row, start, end in zip(rows.tolist(), starts, ends if len(rows) else [], strict=True):
        yield row, order[start:end]


def _meetings(items: Array, times: Array) -> dict[str, list[int]]:
    met: dict[str, list[int]] = {}
    for item, time in zip(items.tolist(), times.tolist(), strict=True):
        if item is not None:
            met.setdefault(item, []).append(time)
    return met


def _repeats(times: list[int], moment_us: int) -> tuple[float, float, float, float]:
    recency = (moment_us - times[-1]) / MICROSECONDS_A_DAY
    interval = (times[-1] - times[0]) / (len(times) - 1) / MICROSECONDS_A_DAY if len(times) > 1 else np.nan
    return len(times), recency, interval, recency / interval if interval > 0 else np.nan


def _shares(taste: Array) -> dict[str | None, float]:
    counted = Counter(taste.tolist())
    counted.pop(None, None)
    total = counted.total()
    return {value: count / total for value, count in counted.items()}


def _mean_shares(liked: Mapping[str | None, float], values: Array) -> Array:
    """The mean share of each row's values, [n] or [n, m] with None for no value; a missing one has no share."""
    shares = np.fromiter(map(liked.get, values.ravel().tolist(), repeat(0.0)), float, values.size).reshape(values.shape)
    if values.ndim == 1:
        return shares
    found: Array = shares.sum(axis=1) / np.maximum((values != None).sum(axis=1), 1)  # noqa: E711 - elementwise
    return found
