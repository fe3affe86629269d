"""When and in what doses a user comes: active hours and sessions, from the times of the last events."""

from typing import Any

import numpy as np

from feature_repo.features.columns import Columns
from feature_repo.features.request import MICROSECONDS_AN_HOUR
from feature_repo.transforms.moments import MICROSECONDS_A_DAY

Array = np.ndarray[Any, Any]

SESSION_GAP_US = 30 * 60_000_000  # a longer pause starts a new session
RHYTHM_FEATURES = (
    "user_hour_share",
    "user_weekday_share",
    "user_sessions",
    "user_session_minutes",
    "user_session_events",
    "user_session_interval_days",
    "user_session_so_far",
)


def rhythm_at(history_times: Array, moment_us: Array) -> Columns:
    """RHYTHM_FEATURES at `moment_us` [n]; float32 [n] each. `history_times` [n or 1, h] ascends and ends with zeros.

    Shares of the events within an hour of the request's hour of day, and on its weekday; sessions, their mean length
    in minutes and in events, the mean number of days between their starts, and the events of a session that is still
    going on. NaN where the history has nothing to measure.
    """
    there = history_times > 0
    events = there.sum(axis=1)
    hours = _hours(moment_us)[:, None] - _hours(history_times)
    weekdays = _days(moment_us)[:, None] - _days(history_times)
    pauses = history_times[:, 1:] - history_times[:, :-1]
    begins = there.copy()
    begins[:, 1:] &= pauses > SESSION_GAP_US
    sessions = begins.sum(axis=1)
    pauses = np.where(there[:, 1:] & ~begins[:, 1:], pauses, 0)
    last = history_times.max(axis=1, initial=0)
    last_begin = np.where(begins, history_times, 0).max(axis=1, initial=0)
    going_on = (events > 0) & (moment_us - last <= SESSION_GAP_US)
    values = (
        _ratio((there & (np.abs((hours + 12) % 24 - 12) <= 1)).sum(axis=1), events),
        _ratio((there & (weekdays % 7 == 0)).sum(axis=1), events),
        sessions,
        _ratio(pauses.sum(axis=1) / 60_000_000, sessions),
        _ratio(events, sessions),
        _ratio((last_begin - history_times[:, 0]) / MICROSECONDS_A_DAY, sessions - 1),
        np.where(going_on, (there & (history_times >= last_begin[:, None])).sum(axis=1), 0),
    )
    features = np.empty((len(RHYTHM_FEATURES), len(moment_us)), np.float32)
    for feature, found in zip(features, values, strict=True):
        feature[:] = found
    return dict(zip(RHYTHM_FEATURES, features, strict=True))


def _hours(moment_us: Array) -> Array:
    return moment_us // MICROSECONDS_AN_HOUR % 24


def _days(moment_us: Array) -> Array:
    return moment_us // MICROSECONDS_A_DAY


def _ratio(part: Array, whole: Array) -> Array:
    ratio: Array = np.divide(part, whole, out=np.full(np.shape(part), np.nan), where=whole > 0)
    return ratio
