"""When and in what doses a user comes: active hours and sessions, from the times of the last events."""

from typing import Any

import numpy as np

from feature_repo.features.columns import Columns
from feature_repo.features.request import MICROSECONDS_AN_HOUR
from feature_repo.transforms.state import MICROSECONDS_A_DAY

Array = np.ndarray[Any, Any]

SESSION_GAP_US = 30 * 60_000_000  # a longer pause starts a new session
HOURS_A_WEEK = 168
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
    times, now = history_times, moment_us[:, None] // MICROSECONDS_AN_HOUR
    hours_ago = now - times // MICROSECONDS_AN_HOUR
    pauses = times[:, 1:] - times[:, :-1]
    marks = np.empty((5, len(moment_us), times.shape[1]), bool)
    there, near_hour, same_weekday, begins, latest = marks
    np.greater(times, 0, out=there)
    np.less_equal((hours_ago + 1) % 24, 2, out=near_hour)
    np.less((now % 24 - hours_ago) % HOURS_A_WEEK, 24, out=same_weekday)  # hours since 00:00 of that weekday
    begins[:, 0] = True
    np.greater(pauses, SESSION_GAP_US, out=begins[:, 1:])
    begins &= there
    last_begin = (times * begins).max(axis=1)
    np.greater_equal(times, last_begin[:, None], out=latest)
    marks[1:] &= there
    events, at_hour, on_weekday, sessions, so_far = marks.sum(axis=2)
    inside = (pauses * (there > begins)[:, 1:]).sum(axis=1) / 60_000_000
    between = (last_begin - times[:, 0]) / MICROSECONDS_A_DAY
    so_far *= moment_us - times.max(axis=1) <= SESSION_GAP_US
    one = np.ones(len(moment_us))
    wholes = np.array([events, events, one, sessions, sessions, sessions - 1, one])
    parts = np.array([at_hour, on_weekday, sessions, inside, events, between, so_far])
    found = (parts / np.where(wholes > 0, wholes, np.nan)).astype(np.float32)
    return dict(zip(RHYTHM_FEATURES, found, strict=True))
