"""The new items of an item table: candidates for exploration that no retriever has learnt about."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from feature_repo.dataset.split import to_microseconds
from feature_repo.transforms.state import MICROSECONDS_A_DAY

if TYPE_CHECKING:
    from training.recommender import Recommender

Array = np.ndarray[Any, Any]


class FreshItems:
    """Which items are newer than some days; worked out once a day for an item table."""

    def __init__(self) -> None:
        self._kept: tuple[object, int, float, Array] | None = None

    def mask(self, recommender: "Recommender", now: datetime, *, days: float) -> Array:
        """Bool [m], read-only: True for an item whose first event is at most `days` old, or that had none."""
        moment = to_microseconds(now)
        today, kept = moment // MICROSECONDS_A_DAY, self._kept
        if kept is not None and kept[0] is recommender and kept[1:3] == (today, days):
            return kept[3]
        age = recommender.catalogue.state(moment)["item_age_days"]
        mask: Array = ~(age > days)  # an item without an event has no age
        mask.setflags(write=False)
        self._kept = (recommender, today, days, mask)
        return mask
