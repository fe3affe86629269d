"""What an item is worth, and how far it is taken, from its raw state: price and conversion."""

from itertools import pairwise
from typing import Any

import numpy as np

from feature_repo.features.columns import Columns
from feature_repo.transforms.state import THOUSANDTHS, step_columns

Array = np.ndarray[Any, Any]

VALUE_FEATURES = ("item_value_mean", "item_value_last", "item_value_change")


def value_of(state: Columns) -> Columns:
    """VALUE_FEATURES, float32 [n]: mean and newest value of the item's events, and the newest over the mean.

    For purchases a value is a price, for ratings a grade. NaN for an item whose events had none.
    """
    mean = state["item_amount"] / np.where(state["item_valued"] > 0, state["item_valued"], np.nan) / THOUSANDTHS
    last = state["item_last_amount"] / THOUSANDTHS
    change = last / np.where(mean == 0, np.nan, mean)
    return {name: v.astype(np.float32) for name, v in zip(VALUE_FEATURES, (mean, last, change), strict=True)}


def conversion_features(steps: int) -> tuple[str, ...]:
    """One feature for each step from an event type to the next stronger one."""
    return tuple(f"item_conversion_{step}" for step in range(1, steps))


def conversion_of(state: Columns, steps: int) -> Columns:
    """Events of each type over those of the type before it, float32 [n]; NaN where there were none before.

    `item_step_1` [n] counts the weakest event type, and so on.
    """
    counts = [state[name] for name in step_columns(steps)]
    rates = (after / np.where(before > 0, before, np.nan) for before, after in pairwise(counts))
    return {name: rate.astype(np.float32) for name, rate in zip(conversion_features(steps), rates, strict=True)}
