"""Retrievers that read nothing but the items' state on the day of the request: the same order for everybody."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Self

import numpy as np

from feature_repo.features.columns import Columns
from feature_repo.transforms.state import MICROSECONDS_A_DAY
from training.retrieval.answers import Answer, Kept
from training.retrieval.port import NOTHING, Array, Catalogue, Log, Queries

TIE_BREAK = 1e-6  # one event of all time, beside one of the window


def _popular(events: str) -> Callable[[Columns], Array]:
    def counted(state: Columns) -> Array:
        total = state["item_events"].astype(np.float64)
        return np.where(total > 0, state[events] + TIE_BREAK * total, NOTHING)

    return counted


def _newest(state: Columns) -> Array:
    """Minus the days since the first event."""
    return np.where(state["item_events"] > 0, -state["item_age_days"], NOTHING)


def _trending(state: Columns) -> Array:
    """Log of the last week's daily rate over the last month's, times the log of 1 + the events of that month."""
    recent = state["item_events_30d"]
    return np.where(recent > 0, state["item_trend"] * np.log1p(recent), NOTHING)


FORMULAS: Mapping[str, Callable[[Columns], Array]] = MappingProxyType(
    {
        "popular": _popular("item_events"),
        "popular-7d": _popular("item_events_7d"),
        "popular-30d": _popular("item_events_30d"),
        "newest": _newest,
        "trending": _trending,
    }
)


class ItemState:
    """Scores by one of FORMULAS; today counts in every window. Items without an event have nothing to say for them."""

    servable = True

    def __init__(self, name: str) -> None:
        self.name = name
        self._formula = FORMULAS[name]

    def fit(self, log: Log, *, seed: int) -> Self:  # noqa: ARG002 - the state is the catalogue's
        return self

    def scores(self, queries: Queries, catalogue: Catalogue) -> Array:
        found = np.empty((len(queries), len(catalogue.item_ids)), np.float32)
        days = queries.moments_us // MICROSECONDS_A_DAY
        for day in np.unique(days):
            asked = np.flatnonzero(days == day)
            found[asked] = self._formula(catalogue.state(int(queries.moments_us[asked[0]])))
        return found

    def answer(self, queries: Queries, catalogue: Kept) -> Answer:
        return catalogue.ranking(self.name, self._formula, int(queries.moments_us[0]))

    def arrays(self) -> dict[str, Array]:
        return {}

    def restore(self, arrays: Mapping[str, Array]) -> Self:  # noqa: ARG002 - nothing was fitted
        return self
