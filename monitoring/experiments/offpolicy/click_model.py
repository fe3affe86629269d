"""A small model of clicks for the doubly robust estimator: the place's rate times the item's factor.

An item's factor is its clicks over what its places foretell, drawn towards 1 by PRIOR expected clicks. It is fitted on
other users than it is asked about (two folds), so that it cannot know a click that it is to foretell.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

PRIOR = 5.0  # expected clicks that an item needs before its own rate counts as much as its places'
FOLDS = 2


@dataclass(frozen=True)
class ClickModel:
    """`place_rate` [places], `factor` [items]."""

    place_rate: Array
    factor: Array

    def predict(self, item: Array, place: Array) -> Array:
        return np.asarray(np.minimum(self.place_rate[place] * self.factor[item], 1.0))


def fit(item: Array, place: Array, clicked: Array, *, items: int, places: int) -> ClickModel:
    """From impressions [n]; `item` and `place` are numbers from 0. Without any the model foretells no clicks."""
    shown = np.bincount(place, minlength=places)
    clicks = np.bincount(place, weights=clicked, minlength=places)
    rate = np.divide(clicks, shown, out=np.zeros(places), where=shown > 0)
    foretold = np.bincount(item, weights=rate[place], minlength=items)
    earned = np.bincount(item, weights=clicked, minlength=items)
    return ClickModel(rate, (earned + PRIOR) / (foretold + PRIOR))


def fold_of(user: Array) -> Array:
    return np.asarray(user % FOLDS)
