"""What depends on the moment of the request: one vectorised definition for training, replay, service and Feast.

The stores hold raw state (counts by day, first and last moments). These functions turn a user's row, items' rows and
the moment into numbers. Every argument broadcasts: one user [1] against items [n], or pairs [n] against pairs [n].
"""

from functools import cache
from typing import Any

import numpy as np

from feature_repo.features.columns import Columns
from feature_repo.transforms.state import MICROSECONDS_A_DAY, THOUSANDTHS

Array = np.ndarray[Any, Any]

WINDOWS = (1, 7, 30, 90)  # days, today included
WINDOW_DAYS = np.array(WINDOWS, np.uint64)[:, None, None]
WEEK_AND_MONTH = np.array([[7], [30]])
CONTEXT_FEATURES = ("hour", "weekday", "hour_sin", "hour_cos", "weekday_sin", "weekday_cos")
USER_STATE = ("user_event_count", "user_first_event", "user_last_event", "user_days", "user_counts")
AMOUNT_STATE = ("user_amount", "user_amounts")
AMOUNT_FEATURES = ("user_amount_30d", "user_amount_total", "user_amount_mean")
ITEM_STATE = ("item_event_count", "item_first_event", "item_last_event", "item_days", "item_counts")
MICROSECONDS_AN_HOUR = 3_600_000_000
CYCLES = np.array([[MICROSECONDS_A_DAY], [7]])  # of the time of day, and of the weekday


@cache
def state_features(prefix: str) -> tuple[str, ...]:
    """Names of the features that `state_at` gives for `prefix` ("user" or "item"), in its order."""
    windows = (f"{prefix}_events_{days}d" for days in WINDOWS)
    return (*windows, f"{prefix}_events", *since_features(prefix), f"{prefix}_trend")


def state_at(prefix: str, state: Columns, moment_us: Array) -> Columns:
    """Windows, recency, age, frequency and trend at `moment_us` [n] from raw state columns; float32 [n] each.

    Frequency is events a day since the first one, at least one day. Trend is the log of the rate of the last 7 days
    over that of the last 30, with one event a month added to both. An entity without a row has 0 events and NaN
    recency and age: unknown is not the same as long ago.
    """
    names, windows = state_features(prefix), _windows(state[f"{prefix}_days"], state[f"{prefix}_counts"], moment_us)
    week, month = windows[1:3] / WEEK_AND_MONTH + 1 / 30
    found = np.empty((len(names), windows.shape[1]), np.float32)
    found[:4] = windows
    found[4] = _counted(state[f"{prefix}_event_count"])
    found[5:8] = since(prefix, state, moment_us)
    found[8] = np.log(week / month)
    return dict(zip(names, found, strict=True))


def since_features(prefix: str) -> tuple[str, ...]:
    """Names of what `since` gives: all of `state_at` that changes within a day."""
    return (f"{prefix}_recency_days", f"{prefix}_age_days", f"{prefix}_frequency")


def since(prefix: str, state: Columns, moment_us: Array) -> Array:
    """Recency, age and frequency, as in `state_at`; float32 [3, n]."""
    ends = np.array([state[f"{prefix}_last_event"], state[f"{prefix}_first_event"]])
    days = (moment_us - ends) / MICROSECONDS_A_DAY
    found = np.empty((3, days.shape[1]), np.float32)
    found[:2] = days
    found[2] = _counted(state[f"{prefix}_event_count"]) / np.fmax(days[1], 1.0)
    return found


def amounts_at(state: Columns, moment_us: Array) -> Columns:
    """What the user's events were worth, AMOUNT_FEATURES: in the last 30 days, in all, and on average; float32 [n]."""
    recent = _windows(state["user_days"], state["user_amounts"], moment_us)[2]
    events = state["user_event_count"]
    found = np.empty((len(AMOUNT_FEATURES), len(recent)), np.float32)
    total = np.nan_to_num(state["user_amount"], nan=0.0) / THOUSANDTHS
    found[0] = recent / THOUSANDTHS
    found[1] = total
    found[2] = total / np.where(events > 0, events, np.nan)
    return dict(zip(AMOUNT_FEATURES, found, strict=True))


def context_at(moment_us: Array) -> Columns:
    """CONTEXT_FEATURES, all in UTC; float32 [n] each.

    Hour of the day [0, 23], weekday [0 is Monday], and both as sine and cosine of their cycle, the hour with its
    fraction: 23:59 is next to 00:00.
    """
    hour, weekday = clock_at(moment_us)
    angles = 2 * np.pi * np.array([moment_us % MICROSECONDS_A_DAY, weekday]) / CYCLES
    found = np.empty((len(CONTEXT_FEATURES), len(moment_us)), np.float32)
    found[0], found[1] = hour, weekday
    found[2::2], found[3::2] = np.sin(angles), np.cos(angles)
    return dict(zip(CONTEXT_FEATURES, found, strict=True))


def clock_at(moment_us: Array) -> tuple[Array, Array]:
    """Hour of the day and weekday [n], as in `context_at`."""
    hours = moment_us // MICROSECONDS_AN_HOUR
    return hours % 24, (hours // 24 + 3) % 7  # 1970-01-01 was a Thursday


def _counted(events: Array) -> Array:
    """Events [n], 0 where there is no row."""
    counted: Array = np.fmax(events, 0.0)  # of a number and NaN it takes the number
    return counted


def _windows(days: Array, amounts: Array, moment_us: Array) -> Array:
    """Sums of `amounts` [u, b] over WINDOWS that end with the day of `moment_us` [n]; int64 [WINDOWS, n]."""
    days_ago = (moment_us // MICROSECONDS_A_DAY)[:, None] - days
    within = days_ago.view(np.uint64) < WINDOW_DAYS  # without a sign, a day to come is in no window
    summed: Array = (within * amounts).sum(axis=2)
    return summed
