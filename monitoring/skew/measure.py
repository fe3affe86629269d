"""Requests as served against what point-in-time retrieval gives: which values differ, which of them are late or wrong.

1. The user row and the matrix as retrieval gives them for the request's moment. What is the same is right.
2. For requests with other values: the states that they were served with (used.py), and the same functions over those. A
   value that this explains is late; what is left is wrong.

How far behind the stores were is judged against the request's moment where that is about now, as requests of users are.
Who asks about another time, as a demo on a log of the past does, can expect no more than what the stores say they hold.

A request that was served with states from after the moment that it asks about (somebody asks about the past) is no
evidence of either: it is counted apart.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from feature_repo.transforms.state import MICROSECONDS_A_DAY
from monitoring.skew.comparison import ITEM, MOMENT, PAIR, ROW, USER, Comparison
from monitoring.skew.retrieved import Retrieval
from monitoring.skew.served import Served
from monitoring.skew.settings import SkewPolicy
from monitoring.skew.state import UNKNOWN, History
from monitoring.skew.used import item_times, user_times
from monitoring.skew.verdict import FeatureSkew, Share, share

Array = np.ndarray[Any, Any]

MICROSECONDS_AN_HOUR = MICROSECONDS_A_DAY // 24


@dataclass(frozen=True)
class Measured:
    """`requests` were compared, and `ahead` were not, since the stores had passed the moments that they ask about.

    `elsewhere` of them ask about another time than that of their arrival. `behind` [requests] by side says for how many
    seconds the oldest change that a request's state lacks had existed when the state should have held it; `ages` are
    median seconds from the newest event of the user rows to the request: as served, and as retrieved.
    """

    requests: int
    ahead: int
    elsewhere: int
    features: tuple[FeatureSkew, ...]
    behind: Mapping[str, Array]
    ages: tuple[float, float]
    not_compared: tuple[str, ...]


def measure(
    served: Served,
    user_ids: Array,
    retrieval: Retrieval,
    names: Sequence[str],
    policy: SkewPolicy,
    *,
    users: Mapping[str, History],
    items: Mapping[str, History],
    covered_us: int,
) -> Measured:
    """Compare `served`, asked for `user_ids` [r], whose matrix has the columns `names`; histories by user and item.

    `covered_us` is the moment before which the stores say that they hold every event.
    """
    now = served.moments_us
    elsewhere = np.abs(served.received_us - now) > policy.about_now_hours * MICROSECONDS_AN_HOUR
    due = np.where(elsewhere, np.minimum(now, covered_us), now)
    every = np.arange(len(served))
    then = retrieval.rows(user_ids, now)
    raw = sorted({name for row in (*then, *served.rows) for name in row})
    compared = Comparison(served, user_ids, retrieval, names, raw, policy)
    sides = compared.sides
    of_items = [place for place, name in enumerate(sides) if sides[name] == ITEM]
    rows, cells = compared.rows(every, now), compared.cells(every, now, now)

    def by_user(places: Array, times: Array) -> Array:
        return np.asarray(compared.rows(places, times).sum(axis=1))

    def by_item(places: Array, times: Array) -> Array:
        return np.asarray(compared.cells(places, now[places], times)[:, of_items].sum(axis=1))

    users_us = user_times(served, user_ids, users, rows.sum(axis=1), by_user)
    items_us = item_times(served, names, items, cells[:, of_items].sum(axis=1), by_item)
    wrong_rows, wrong_cells = rows.copy(), cells.copy()
    affected = np.flatnonzero((users_us != now) | (items_us != now))
    if len(affected):
        wrong_rows[affected] &= compared.rows(affected, users_us[affected])
        wrong_cells[affected] &= compared.cells(affected, users_us[affected], items_us[affected])
    kept = np.flatnonzero((users_us <= now) & (items_us <= now))
    behind = {
        USER: _behind([[users.get(user, UNKNOWN)] for user in user_ids.tolist()], users_us, due),
        ITEM: _behind(_of_candidates(served, items), items_us, due),
    }
    behind = {side: seconds[kept] for side, seconds in behind.items()}
    behind |= {ROW: behind[USER], PAIR: np.maximum(behind[USER], behind[ITEM]), MOMENT: np.zeros(len(kept))}
    both = [*((name, ROW) for name in raw), *sides.items()]
    differing, wrong = (np.concatenate(pair, axis=1)[kept] for pair in ((rows, cells), (wrong_rows, wrong_cells)))
    features = tuple(
        _feature(name, side, differing[:, at], wrong[:, at], behind[side], policy, among=len(both))
        for at, (name, side) in enumerate(both)
    )
    ages = _median_age(served.rows, now, kept), _median_age(then, now, kept)
    outside = tuple(name for name in names if name not in sides)
    ahead, other = len(served) - len(kept), int(elsewhere[kept].sum())
    return Measured(len(kept), ahead, other, features, behind, ages, outside)


def _feature(
    name: str, side: str, differing: Array, wrong: Array, behind: Array, policy: SkewPolicy, *, among: int
) -> FeatureSkew:
    def told(found: Array) -> Share:
        return share(int(found.sum()), len(found), confidence=policy.confidence, among=among)

    median, p99 = np.quantile(behind, [0.5, 0.99]).tolist() if len(behind) else (0.0, 0.0)
    return FeatureSkew(name, side, told(differing), told(wrong), told(differing & ~wrong), median, p99)


def _of_candidates(served: Served, items: Mapping[str, History]) -> list[list[History]]:
    found: list[list[History]] = [[] for _ in range(len(served))]
    for place, item in zip(served.request.tolist(), served.item_ids.tolist(), strict=True):
        found[place].append(items.get(item, UNKNOWN))
    return found


def _behind(histories: Sequence[Sequence[History]], states_us: Array, due: Array) -> Array:
    """Seconds [r] from the oldest change that the state of `states_us` lacks to the moment `due`, 0 where it has all.

    Counts of completed days change at midnight, so a state of an earlier day lacks that at least.
    """
    found = np.zeros(len(due))
    for place in np.flatnonzero(states_us < due).tolist():
        state, moment = int(states_us[place]), int(due[place])
        missed = [since for history in histories[place] if (since := history.missed_since(state, moment)) is not None]
        midnight = (state // MICROSECONDS_A_DAY + 1) * MICROSECONDS_A_DAY
        found[place] = max(0, moment - min([*missed, midnight])) / 1e6
    return found


def _median_age(rows: Sequence[Mapping[str, Any]], now: Array, kept: Array) -> float:
    """Median seconds from `user_last_event` to the request, NaN where no row has one."""
    ages = [
        (int(now[place]) - last) / 1e6
        for place in kept.tolist()
        if isinstance(last := rows[place].get("user_last_event"), int)
    ]
    return float(np.median(ages)) if ages else float("nan")
