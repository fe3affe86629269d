"""What depends on the moment of the request: one vectorised definition for training, replay, service and Feast.

The stores hold raw state (counts by day, first and last moments). These functions turn a user's row, items' rows and
the moment into numbers. Every argument broadcasts: one user [1] against items [n], or pairs [n] against pairs [n].
"""

from typing import Any

import numpy as np

from feature_repo.features.columns import Columns
from feature_repo.transforms.moments import MICROSECONDS_A_DAY, THOUSANDTHS

Array = np.ndarray[Any, Any]

WINDOWS = (1, 7, 30, 90)  # days, today included
CONTEXT_FEATURES = ("hour", "weekday", "hour_sin", "hour_cos", "weekday_sin", "weekday_cos")
USER_STATE = ("user_event_count", "user_first_event", "user_last_event", "user_days", "user_counts")
AMOUNT_STATE = ("user_amount", "user_amounts")
AMOUNT_FEATURES = ("user_amount_30d", "user_amount_total", "user_amount_mean")
ITEM_STATE = ("item_event_count", "item_first_event", "item_last_event", "item_days", "item_counts")
MICROSECONDS_AN_HOUR = 3_600_000_000


def state_features(prefix: str) -> tuple[str, ...]:
    """Names of the features that `state_at` gives for `prefix` ("user" or "item"), in its order."""
    windows = (f"{prefix}_events_{days}d" for days in WINDOWS)
    return (*windows, *(f"{prefix}_{name}" for name in ("events", "recency_days", "age_days", "frequency", "trend")))


def state_at(prefix: str, state: Columns, moment_us: Array) -> Columns:
    """Windows, recency, age, frequency and trend at `moment_us` [n] from raw state columns; float32 [n] each.

    Frequency is events a day since the first one, at least one day. Trend is the log of the rate of the last 7 days
    over that of the last 30, with one event a month added to both. An entity without a row has 0 events and NaN
    recency and age: unknown is not the same as long ago.
    """
    windows = _windows(state[f"{prefix}_days"], state[f"{prefix}_counts"], moment_us)
    features = {f"{prefix}_events_{days}d": summed for days, summed in windows.items()}
    total = _counted(state[f"{prefix}_event_count"])
    features[f"{prefix}_events"] = np.broadcast_to(total, windows[1].shape)
    features |= since(prefix, state, moment_us)
    features[f"{prefix}_trend"] = np.log((windows[7] / 7 + 1 / 30) / (windows[30] / 30 + 1 / 30))
    return {name: values.astype(np.float32, copy=False) for name, values in features.items()}


def since_features(prefix: str) -> tuple[str, ...]:
    """Names of what `since` gives: all of `state_at` that changes within a day."""
    return (f"{prefix}_recency_days", f"{prefix}_age_days", f"{prefix}_frequency")


def since(prefix: str, state: Columns, moment_us: Array) -> Columns:
    """Recency, age and frequency, as in `state_at`; float32 [n] each."""
    age = (moment_us - state[f"{prefix}_first_event"]) / MICROSECONDS_A_DAY
    recency = (moment_us - state[f"{prefix}_last_event"]) / MICROSECONDS_A_DAY
    total = _counted(state[f"{prefix}_event_count"])
    values = (recency, age, total / np.fmax(age, 1.0))
    return {name: v.astype(np.float32) for name, v in zip(since_features(prefix), values, strict=True)}


def amounts_at(state: Columns, moment_us: Array) -> Columns:
    """What the user's events were worth, AMOUNT_FEATURES: in the last 30 days, in all, and on average; float32 [n]."""
    recent = _windows(state["user_days"], state["user_amounts"], moment_us)[30] / THOUSANDTHS
    total = np.broadcast_to(np.nan_to_num(state["user_amount"], nan=0.0) / THOUSANDTHS, recent.shape)
    events = np.nan_to_num(state["user_event_count"], nan=0.0)
    mean = np.divide(total, events, out=np.full(recent.shape, np.nan), where=np.broadcast_to(events > 0, recent.shape))
    return {
        name: values.astype(np.float32) for name, values in zip(AMOUNT_FEATURES, (recent, total, mean), strict=True)
    }


def context_at(moment_us: Array) -> Columns:
    """CONTEXT_FEATURES, all in UTC; float32 [n] each.

    Hour of the day [0, 23], weekday [0 is Monday], and both as sine and cosine of their cycle, the hour with its
    fraction: 23:59 is next to 00:00.
    """
    hour = moment_us // MICROSECONDS_AN_HOUR % 24
    weekday = (moment_us // MICROSECONDS_A_DAY + 3) % 7  # 1970-01-01 was a Thursday
    day_angle = 2 * np.pi * (moment_us % MICROSECONDS_A_DAY) / MICROSECONDS_A_DAY
    week_angle = 2 * np.pi * weekday / 7
    values = (hour, weekday, np.sin(day_angle), np.cos(day_angle), np.sin(week_angle), np.cos(week_angle))
    return {name: found.astype(np.float32) for name, found in zip(CONTEXT_FEATURES, values, strict=True)}


def _counted(events: Array) -> Array:
    """Events [n], 0 where there is no row."""
    return np.where(np.isnan(events), 0.0, events)


def _windows(days: Array, amounts: Array, moment_us: Array) -> dict[int, Array]:
    """Sums of `amounts` [u, b] over WINDOWS that end with the day of `moment_us` [n]; [n] each."""
    days_ago = (moment_us // MICROSECONDS_A_DAY)[:, None] - days
    past = np.where(days_ago >= 0, amounts, 0)
    return {window: (past * (days_ago < window)).sum(axis=1) for window in WINDOWS}
