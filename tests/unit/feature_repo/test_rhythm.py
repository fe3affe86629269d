import numpy as np
from tiny_log import DAY, at

from feature_repo.features.rhythm import RHYTHM_FEATURES, rhythm_at

MINUTE = 60_000_000
HOUR = 60 * MINUTE


def rhythm(times: list[int], moment: int) -> dict[str, float]:
    found = rhythm_at(np.array([[*times, 0, 0]], np.int64), np.array([moment]))
    assert tuple(found) == RHYTHM_FEATURES
    return {name: float(values[0]) for name, values in found.items()}


def test_a_pause_of_more_than_half_an_hour_starts_a_new_session() -> None:
    first = [at(0), at(0) + 10 * MINUTE, at(0) + 40 * MINUTE]
    second = [at(2), at(2) + 20 * MINUTE]

    found = rhythm([*first, *second], at(2) + 40 * MINUTE)

    assert found["user_sessions"] == 2
    assert found["user_session_minutes"] == (40 + 20) / 2
    assert found["user_session_events"] == 2.5
    assert found["user_session_interval_days"] == 2
    assert found["user_session_so_far"] == 2


def test_a_session_that_is_over_has_no_events_so_far() -> None:
    found = rhythm([at(0), at(0) + MINUTE], at(0) + 32 * MINUTE)

    assert found["user_session_so_far"] == 0
    assert np.isnan(found["user_session_interval_days"])


def test_active_hours_are_counted_around_the_clock() -> None:
    late, early, noon = at(0) + 23 * HOUR + 59 * MINUTE, at(3) + 5 * MINUTE, at(5) + 12 * HOUR

    found = rhythm([late, early, noon], at(7) + 15 * MINUTE)  # a Thursday, as the first event's day was

    assert np.isclose(found["user_hour_share"], 2 / 3)
    assert np.isclose(found["user_weekday_share"], 1 / 3)


def test_a_user_without_a_history_has_no_sessions_and_unknown_shares() -> None:
    found = rhythm([], at(0))

    assert found["user_sessions"] == found["user_session_so_far"] == 0
    assert all(np.isnan(found[name]) for name in RHYTHM_FEATURES if found[name] != 0)


def test_many_users_are_measured_as_each_alone() -> None:
    histories = [[at(0), at(1)], [at(0), at(0) + MINUTE], []]
    padded = np.array([[*times, *[0] * (3 - len(times))] for times in histories], np.int64)
    moments = np.array([at(1) + MINUTE, at(5), 20 * DAY])

    together = rhythm_at(padded, moments)

    for row, (times, moment) in enumerate(zip(histories, moments, strict=True)):
        alone = rhythm(times, int(moment))
        np.testing.assert_array_equal([together[n][row] for n in RHYTHM_FEATURES], list(alone.values()))


def test_one_user_at_many_moments_is_measured_as_at_each_alone() -> None:
    times = [at(0), at(0) + 20 * MINUTE, at(4), at(4) + MINUTE]
    moments = np.array([at(4) + 3 * MINUTE, at(4) + 23 * HOUR, at(11), at(30) + 5 * HOUR])

    together = rhythm_at(np.array([[*times, 0, 0]], np.int64), moments)

    for row, moment in enumerate(moments.tolist()):
        alone = rhythm(times, moment)
        assert [together[name][row] for name in RHYTHM_FEATURES] == list(alone.values())
