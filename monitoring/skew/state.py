"""Which state a request was served with, told from the numbers that were served.

The state of a key (a user, an item) changes at stamps, and the number of its events goes up with each change. So the
number that was served says which state it was, and the time of the last event says it a second time: a column that is
broken does not hide the state from the other one. An item table is read whole, so its time is the one on which most of
a request's candidates agree, and requests served one after another had the same table while their times allow it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from feature_repo.transforms.state import MICROSECONDS_A_DAY

Array = np.ndarray[Any, Any]

NEVER, FOREVER = -(2**62), 2**62
MIDNIGHTS = 10  # how many of a span's last days are tried


@dataclass(frozen=True)
class History:
    """The states of one key: stamps [s] ascending, events counted [s] ascending, time of the last event [s]."""

    stamps: Array
    counts: Array
    lasts: Array

    def number_at(self, moment_us: int) -> int:
        """How many states there were by then; the newest is the last of them, and without any the key is unknown."""
        return int(np.searchsorted(self.stamps, moment_us, side="right"))

    def with_count(self, count: float) -> int | None:
        """The number of the state that counts so many events, None if there is none."""
        if np.isnan(count) or count == 0:
            return 0
        place = int(np.searchsorted(self.counts, count))
        return place + 1 if place < len(self.counts) and self.counts[place] == count else None

    def with_last(self, last_us: float, *, within: float) -> int | None:
        """The number of the state whose last event is at `last_us`, or nearest to it `within` microseconds."""
        if np.isnan(last_us):
            return 0
        if not len(self.lasts):
            return None
        place = int(np.searchsorted(self.lasts, last_us))
        near = min(
            (p for p in (place - 1, place) if 0 <= p < len(self.lasts)), key=lambda p: abs(self.lasts[p] - last_us)
        )
        return near + 1 if abs(self.lasts[near] - last_us) <= within else None

    def span(self, number: int) -> tuple[int, int]:
        """The first and the last microsecond at which this state was the newest."""
        first = int(self.stamps[number - 1]) if number else NEVER
        return first, int(self.stamps[number]) - 1 if number < len(self.stamps) else FOREVER

    def missed_since(self, state_us: int, moment_us: int) -> int | None:
        """The stamp of the oldest change after `state_us` up to `moment_us`, None where nothing changed."""
        place = self.number_at(state_us)
        return int(self.stamps[place]) if place < self.number_at(moment_us) else None


UNKNOWN = History(*(np.zeros(0, np.int64),) * 3)


def agreed_span(spans: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """The span that most of `spans` contain; of several the latest. Without spans it may be any time."""
    if not spans:
        return NEVER, FOREVER
    first, last = (np.sort(np.array(side, np.int64)) for side in zip(*spans, strict=True))
    begun = np.searchsorted(first, first, side="right")
    votes = begun - np.searchsorted(last, first, side="left")
    place = len(votes) - 1 - int(np.argmax(votes[::-1]))
    low = int(first[place])
    return low, int(last[np.searchsorted(last, low, side="left")])


def same_table(spans: Iterable[tuple[int, int]]) -> list[tuple[list[int], tuple[int, int]]]:
    """Requests in the order of service, put together while one time fits them all: places and their common span."""
    groups: list[tuple[list[int], tuple[int, int]]] = []
    for place, (low, high) in enumerate(spans):
        if groups:
            places, (common_low, common_high) = groups[-1]
            both = max(low, common_low), min(high, common_high)
            if both[0] <= both[1]:
                groups[-1] = ([*places, place], both)
                continue
        groups.append(([place], (low, high)))
    return groups


def times_within(span: tuple[int, int], *, until_us: int) -> list[int]:
    """Times that stand for a span in which no event came: its end, and each of its last midnights, when counts of
    completed days change. An open end is `until_us`, or the span's own begin."""
    low, high = span
    end = high if high < FOREVER else max(low, until_us)
    midnight = end // MICROSECONDS_A_DAY * MICROSECONDS_A_DAY
    days = (midnight - n * MICROSECONDS_A_DAY for n in range(MIDNIGHTS))
    return [end, *(day - 1 for day in days if day - 1 >= low)]
