"""What a user and an item have to do with each other: earlier meetings, and the user's taste for its categories.

`users` hold r requests, items n candidates; `request` [n] names the request of each candidate.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import numpy as np

from feature_repo.features.columns import Columns
from feature_repo.transforms.state import MICROSECONDS_A_DAY

Array = np.ndarray[Any, Any]

PAIR_FEATURES = ("pair_events", "pair_recency_days", "pair_interval_days", "pair_due")


def affinity_features(attributes: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"affinity_{name}" for name in attributes)


@dataclass(frozen=True, eq=False)
class Labels:
    """Texts of items as numbers: `codes` [n], or [n, m] with several values, by `numbers` from 1 on; 0 is no text."""

    codes: Array
    numbers: Mapping[str, int]

    def take(self, rows: Array) -> "Labels":
        return Labels(self.codes.take(rows, axis=0), self.numbers)


def labels_of(values: Array) -> Labels:
    """Texts [n] or [n, m], None for none, to be looked up by number: faster than by text, in every request."""
    texts = values.ravel().tolist()
    numbers = {text: number for number, text in enumerate(dict.fromkeys(text for text in texts if text is not None), 1)}
    codes = np.fromiter(map(numbers.get, texts, repeat(0)), np.int32, len(texts))
    return Labels(codes.reshape(values.shape), numbers)


def pairs_at(users: Columns, item_ids: Array, request: Array, moment_us: Array) -> Columns:
    """PAIR_FEATURES, float32 [n], from `history_items` and `history_times` [r, h] at `moment_us` [r].

    How often the user met the item among the last events, days since the last time, the mean number of days between
    two times, and the first over the second: at 1 it is due again. NaN where there is nothing to measure.
    """
    found = np.full((len(PAIR_FEATURES), len(item_ids)), np.nan, np.float64)
    found[0] = 0
    places = np.arange(len(item_ids))
    for row, candidates in _by_request(request, len(moment_us)):
        met = _meetings(users["history_items"][row], users["history_times"][row])
        for place in places[candidates]:
            times = met.get(item_ids[place])
            if times:
                found[:, place] = _repeats(times, int(moment_us[row]))
    return {name: values.astype(np.float32) for name, values in zip(PAIR_FEATURES, found, strict=True)}


def affinities(attributes: Sequence[str], users: Columns, items: Mapping[str, Labels], request: Array) -> Columns:
    """`affinity_<attribute>` for each, float32 [n].

    The share of the user's last likes that had the item's value; for several values the mean of their shares. NaN for
    a user without likes, 0 for an item without a value.
    """
    found = {}
    for name in attributes:
        labels, taste = items[name], users[f"taste_{name}"]
        shares = np.full(len(request), np.nan, np.float32)
        for row, candidates in _by_request(request, len(taste)):
            likes = [text for text in taste[row].tolist() if text is not None]
            if likes:
                shares[candidates] = _mean_shares(likes, labels.numbers, labels.codes[candidates])
        found[f"affinity_{name}"] = shares
    return found


def _by_request(request: Array, requests: int) -> Iterator[tuple[int, Array | slice]]:
    if requests == 1:  # as when the service asks
        yield 0, slice(None)
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


def _mean_shares(likes: Sequence[str], numbers: Mapping[str, int], codes: Array) -> Array:
    """The mean of the shares that the values of each row, `codes` [n] or [n, m], have of all `likes`."""
    liked = np.fromiter(map(numbers.get, likes, repeat(0)), np.int64, len(likes))
    counts = np.bincount(liked, minlength=len(numbers) + 1)
    counts[0] = 0  # likes that no item has
    shares: Array = counts.take(codes) / len(likes)
    if codes.ndim == 1:
        return shares
    found: Array = shares.sum(axis=1) / np.maximum((codes > 0).sum(axis=1), 1)
    return found
