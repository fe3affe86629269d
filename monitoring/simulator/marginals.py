"""What a log looks like from outside: the shapes in which a simulated log can be unlike a real one."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from feature_repo.core.errors import NotMeasurable

Array = np.ndarray[Any, Any]

VISIT_PAUSE = 1_800.0  # seconds without an event that end a visit
GRID = np.linspace(0.0, 1.0, 101)  # shares at which curves are held


@dataclass(frozen=True)
class Marginals:
    """Shapes of one log; curves are at GRID."""

    events: int
    users: int
    items: int
    days: float
    per_user: Array  # [users], events of each, sorted
    per_item: Array  # [items], events of each, most first
    gaps: Array  # seconds above 0 between two events of one user, sorted
    visit_lengths: Array  # events of each visit, sorted
    hours: Array  # [24], share of the events by hour, UTC
    repeat_share: float  # of the events of the commonest type, how many are about an item that the user met before
    growth: Array  # [101], share of the catalogue met after each share of the events
    late_users: float  # share of the users whose first event is after the first tenth of the events

    @property
    def concentration(self) -> Array:
        """Lorenz curve [101]: the share of the events that the most popular share of the items has."""
        of_items = np.concatenate([[0.0], self.per_item.cumsum() / self.per_item.sum()])
        curve: Array = np.interp(GRID, np.linspace(0, 1, len(of_items)), of_items)
        return curve

    @property
    def gini(self) -> float:
        """Inequality of events between items: twice the area between the Lorenz curve and that of equal shares."""
        return float(2 * np.trapezoid(self.concentration, GRID) - 1)


def marginals(events: pa.Table) -> Marginals:
    """Measure a log with user_id, item_id, timestamp and event_type.

    Raises:
        NotMeasurable: fewer than two events.
    """
    if events.num_rows < 2:
        raise NotMeasurable(f"the shapes of a log need at least 2 events; got {events.num_rows}")
    events = events.select(["user_id", "item_id", "timestamp", "event_type"]).sort_by("timestamp")
    user, item = (_codes(events[name]) for name in ("user_id", "item_id"))
    seconds = events["timestamp"].cast(pa.timestamp("us", "UTC")).cast(pa.int64()).to_numpy() / 1e6
    gaps, lengths = _visits(user, seconds)
    first = np.sort(np.unique(item, return_index=True)[1]) / len(item)
    arrived = np.unique(user, return_index=True)[1] / len(user)
    hours = np.bincount((seconds // 3_600 % 24).astype(int), minlength=24)
    return Marginals(
        events=len(user),
        users=len(arrived),
        items=len(first),
        days=float((seconds[-1] - seconds[0]) / 86_400),
        per_user=np.sort(np.bincount(user)),
        per_item=np.sort(np.bincount(item))[::-1],
        gaps=gaps,
        visit_lengths=lengths,
        hours=hours / hours.sum(),
        repeat_share=_repeats(events["event_type"], user, item),
        growth=np.searchsorted(first, GRID) / len(first),
        late_users=float((arrived > 0.1).mean()),
    )


def distances(one: Marginals, other: Marginals) -> dict[str, float]:
    """How far apart two logs are in each shape, from 0 (the same) to 1 (nothing in common).

    Distributions: the Kolmogorov-Smirnov statistic, events of users in multiples of their mean. Curves: the largest
    difference. Hours: total variation. Repeats: the difference of the shares.
    """
    return {
        "events per user": _ks(one.per_user / one.per_user.mean(), other.per_user / other.per_user.mean()),
        "popularity of items": float(np.abs(one.concentration - other.concentration).max()),
        "time between events": _ks(one.gaps, other.gaps),
        "events per visit": _ks(one.visit_lengths, other.visit_lengths),
        "hour of the day": float(np.abs(one.hours - other.hours).sum() / 2),
        "repeat share": abs(one.repeat_share - other.repeat_share),
        "growth of the catalogue": float(np.abs(one.growth - other.growth).max()),
    }


def _ks(one: Array, other: Array) -> float:
    """Largest difference of two cumulative shares; 1 where one of both has no value."""
    if not (len(one) and len(other)):
        return 1.0
    places = np.unique(np.concatenate([one, other]))
    shares = [np.searchsorted(np.sort(values), places, side="right") / len(values) for values in (one, other)]
    return float(np.abs(shares[0] - shares[1]).max())


def _visits(user: Array, seconds: Array) -> tuple[Array, Array]:
    """Gaps between a user's events, without those of 0, and the events of each visit; both sorted."""
    order = np.lexsort((seconds, user))
    same = user[order][1:] == user[order][:-1]
    gap = np.diff(seconds[order])
    new = np.concatenate([[True], ~same | (gap > VISIT_PAUSE)])
    lengths = np.diff(np.append(np.flatnonzero(new), len(user)))
    return np.sort(gap[same & (gap > 0)]), np.sort(lengths)


def _repeats(kind: pa.ChunkedArray, user: Array, item: Array) -> float:
    commonest = pc.mode(_codes_array(kind))[0]["mode"].as_py()
    chosen = _codes(kind) == commonest
    pairs = user[chosen].astype(np.int64) * (int(item.max()) + 1) + item[chosen]
    return float(1 - len(np.unique(pairs)) / len(pairs))


def _codes_array(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks().dictionary_encode().indices


def _codes(column: pa.ChunkedArray) -> Array:
    return np.asarray(_codes_array(column).to_numpy())
