"""What depends on the moment of the request: one vectorised definition for training, replay, service and Feast.

The stores hold raw state (counts by day, first and last moments). These functions turn a user's row, items' rows and
the moment into numbers. Every argument broadcasts: one user [1] against items [n], or pairs [n] against pairs [n].
"""

from typing import Any

import numpy as np

from feature_repo.features.columns import Columns
from feature_repo.transforms.moments import MICROSECONDS_A_DAY

Array = np.ndarray[Any, Any]

WINDOWS = (1, 7, 30, 90)  # days, today included
CONTEXT_FEATURES = ("hour", "weekday")
USER_STATE = ("user_event_count", "user_first_event", "user_last_event", "user_days", "user_counts")
ITEM_STATE = ("item_event_count", "item_first_event", "item_last_event", "item_days", "item_counts")
MICROSECONDS_AN_HOUR = 3_600_000_000


def state_features(prefix: str) -> tuple[str, ...]:
    """Names of the features that `state_at` gives for `prefix` ("user" or "item")."""
    windows = (f"{prefix}_events_{days}d" for days in WINDOWS)
    return (*windows, f"{prefix}_events", f"{prefix}_recency_days", f"{prefix}_age_days")


def state_at(prefix: str, state: Columns, moment_us: Array) -> Columns:
    """Windows, recency and age at `moment_us` [n] from raw state columns; float32 [n] each.

    An entity without a row has 0 events and NaN recency and age: unknown is not the same as long ago.
    """
    days_ago = (moment_us // MICROSECONDS_A_DAY)[:, None] - state[f"{prefix}_days"]
    counts = np.where(days_ago >= 0, state[f"{prefix}_counts"], 0)
    features = {f"{prefix}_events_{days}d": (counts * (days_ago < days)).sum(axis=1) for days in WINDOWS}
    total = np.nan_to_num(state[f"{prefix}_event_count"], nan=0.0)
    features[f"{prefix}_events"] = np.broadcast_to(total, len(features[f"{prefix}_events_{WINDOWS[0]}d"]))
    features[f"{prefix}_recency_days"] = (moment_us - state[f"{prefix}_last_event"]) / MICROSECONDS_A_DAY
    features[f"{prefix}_age_days"] = (moment_us - state[f"{prefix}_first_event"]) / MICROSECONDS_A_DAY
    return {name: values.astype(np.float32) for name, values in features.items()}


def context_at(moment_us: Array) -> Columns:
    """Hour of the day [0, 23] and weekday [0 is Monday], both in UTC; float32 [n] each."""
    hour = moment_us // MICROSECONDS_AN_HOUR % 24
    weekday = (moment_us // MICROSECONDS_A_DAY + 3) % 7  # 1970-01-01 was a Thursday
    return {"hour": hour.astype(np.float32), "weekday": weekday.astype(np.float32)}
