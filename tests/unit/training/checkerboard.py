"""A world with a known answer: users of two tastes, items of two groups, each user one item short of their group.

Users 0, 2, 4, 6 met items of group 0 (items 0, 2, 4, 6), the others those of group 1. User u misses item u. One item
was never met, and one more user met a single item. An event a day and user, so that there is an order in time.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from feature_repo.features.columns import Columns
from feature_repo.features.request import state_at
from training.retrieval.answers import Ranking, ranking_of
from training.retrieval.port import Log, Queries
from training.settings import (
    AlsSettings,
    BaselineSettings,
    BprSettings,
    EaseSettings,
    EdlaeSettings,
    ItemKnnSettings,
    KernelSettings,
    PopularWithinSettings,
)

Array = np.ndarray[Any, Any]

DAY = 86_400_000_000
USERS, ITEMS, UNMET, NOW = 8, 8, 8, 20 * DAY

SETTINGS = BaselineSettings(
    als=AlsSettings(factors=2, regularization=1.0),
    bpr=BprSettings(factors=4, iterations=200, learning_rate=0.1),
    ease=EaseSettings(regularization=1.0),
    edlae=EdlaeSettings(regularization=1.0),
    kernel=KernelSettings(regularization=0.1),
    item_knn=ItemKnnSettings(shrinkage=1.0),
    popular_within=PopularWithinSettings(smoothing=1.0),
)


@dataclass
class TinyCatalogue:
    """Items with the raw state that the events of `log` leave; `known` are their rows in the vocabulary."""

    item_ids: Array
    known: Array
    log: Log

    @property
    def rows_of(self) -> Array:
        rows = np.full(len(self.log.item_ids), -1)
        there = np.flatnonzero(self.known >= 0)
        rows[self.known[there]] = there
        return rows

    def ranking(self, name: str, formula: Callable[[Columns], Array], moment_us: int) -> Ranking:  # noqa: ARG002
        return ranking_of(formula(self.state(moment_us)).astype(np.float32))

    def fixed(self, key: Hashable, scores: Callable[[], Array]) -> Ranking:  # noqa: ARG002
        return ranking_of(scores())

    def state(self, moment_us: int) -> Columns:
        of_item = [self.log.moments_us[self.log.items == row] if row >= 0 else np.zeros(0) for row in self.known]
        longest = max(map(len, of_item), default=0)
        days = np.array([np.pad(times // DAY, (0, longest - len(times)), constant_values=0) for times in of_item])
        counts = np.array([np.pad(np.ones(len(times)), (0, longest - len(times))) for times in of_item])
        raw = {
            "item_days": days.astype(np.int64).reshape(len(of_item), longest),
            "item_counts": counts.reshape(len(of_item), longest),
            "item_event_count": np.array([len(times) for times in of_item], float),
            "item_first_event": np.array([times.min() if len(times) else np.nan for times in of_item], float),
            "item_last_event": np.array([times.max() if len(times) else np.nan for times in of_item], float),
        }
        return state_at("item", raw, np.full(len(of_item), moment_us))


def catalogue_of(log: Log) -> TinyCatalogue:
    return TinyCatalogue(log.item_ids, np.arange(len(log.item_ids)), log)


def log_of(events: list[tuple[int, int, int]], *, users: int, items: int, **more: Any) -> Log:
    """Events (user, item, day) in order of time, each of weight 1."""
    rows = np.array(sorted(events, key=lambda event: event[2]), np.int64).reshape(-1, 3)
    names = (np.array([f"{kind}{n}" for n in range(count)], object) for kind, count in (("u", users), ("i", items)))
    return Log(*names, rows[:, 0], rows[:, 1], rows[:, 2] * DAY, np.ones(len(rows), np.float32), **more)


def checkerboard() -> Log:
    met = [[i for i in range(ITEMS) if i % 2 == u % 2 and i != u] for u in range(USERS)]
    events = [(u, item, day) for u, items in enumerate(met) for day, item in enumerate(items)]
    log = log_of([*events, (USERS, 0, 5)], users=USERS + 1, items=ITEMS + 1)
    taste = np.where(log.users == USERS, 0, log.users % 2)
    described = np.array([f"group {'even' if i % 2 == 0 else 'odd'}" for i in range(ITEMS + 1)], object)
    return Log(
        log.user_ids,
        log.item_ids,
        log.users,
        log.items,
        log.moments_us,
        log.weights,
        contexts={"shop": np.array(["north", "south"], object)[taste]},
        segments=taste,
        item_columns={"title": described},
    )


def queries_of(log: Log, users: list[int], *, history: bool = True) -> Queries:
    """What users of `log` ask at NOW; without `history` what a stranger asks."""
    length = 4
    rows, times = np.full((len(users), length), -1), np.zeros((len(users), length), np.int64)
    for place, user in enumerate(users if history else []):
        own = np.flatnonzero(log.users == user)[-length:]
        rows[place, length - len(own) :], times[place, length - len(own) :] = log.items[own], log.moments_us[own]
    met = sparse.csr_array(log.met[users]) if history else sparse.csr_array((len(users), log.met.shape[1]), dtype="f4")
    return Queries(
        user_ids=log.user_ids[users],
        moments_us=np.full(len(users), NOW),
        met=met,
        history=rows,
        history_us=times,
        contexts=[{"shop": "south" if user % 2 else "north"} if history else {} for user in users],
        segments=np.array([user % 2 if history else -1 for user in users]),
    )


def one_of(queries: Queries, row: int) -> Queries:
    """A batch of one."""
    only = slice(row, row + 1)
    return Queries(
        user_ids=queries.user_ids[only],
        moments_us=queries.moments_us[only],
        met=sparse.csr_array(queries.met[only]),
        history=queries.history[only],
        history_us=queries.history_us[only],
        contexts=queries.contexts[only],
        segments=queries.segments[only],
    )
