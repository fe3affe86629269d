"""The thresholds of quiet windows, where it is known what they must be."""

import numpy as np
import pyarrow as pa
import pytest
from drift_windows import DAY_US, slates, with_columns

from monitoring.drift.bootstrap import Shape, equally_rare
from monitoring.drift.policy import DriftPolicy
from monitoring.drift.ready import Ready, make_ready
from monitoring.drift.window import window_of

POLICY = DriftPolicy(draws=500, alarm_rate=0.05)  # not so rare that 500 draws say nothing


def ready(table: pa.Table) -> Ready:
    return make_ready(window_of(table, POLICY), POLICY)


def limits(reference: Ready, shape: Shape | None = None) -> dict[str, float]:
    found = reference.calibration.thresholds(shape or reference.calibration.shape)
    return dict(zip(reference.names, found.shift.tolist(), strict=True))


def test_a_users_column_varies_as_much_as_its_effective_users_say() -> None:
    reference = ready(slates(seed=1, requests=2_000, users=300))
    shape = reference.calibration.shape

    taste = limits(reference)["taste"]

    # The largest of a dozen independent normal figures is beyond 3.1 in a fortieth of the cases.
    assert shape.users == pytest.approx(300 * 2000 / 2300, rel=0.05)
    assert taste == pytest.approx(3.1 * np.sqrt(2 / shape.users), rel=0.2)


def test_rows_of_one_user_are_no_evidence_of_their_own() -> None:
    few, many = (ready(slates(seed=1, requests=2_000, users=users)) for users in (40, 2_000))

    assert limits(few)["taste"] > 4 * limits(many)["taste"]
    assert limits(few)["fit"] < 1.6 * limits(many)["fit"]


def test_days_that_differ_widen_the_threshold_of_the_column_that_differs_with_them() -> None:
    quiet = slates(seed=2, requests=2_000, days=28)
    day = quiet["moment"].cast(pa.int64()).to_numpy() // DAY_US
    uneven = quiet["fit"].to_numpy() + np.random.default_rng(3).normal(scale=0.5, size=28)[day]

    before, after = limits(ready(quiet)), limits(ready(with_columns(quiet, {"fit": uneven})))

    assert after["fit"] > 3 * before["fit"]
    assert after["taste"] < 1.3 * before["taste"]


def test_a_smaller_window_may_lie_further_away() -> None:
    reference = ready(slates(seed=1, requests=2_000))
    shape = reference.calibration.shape

    small = limits(reference, Shape(users=100.0, days=shape.days, requests=120))

    assert small["taste"] == pytest.approx(limits(reference)["taste"] * np.sqrt((1 / 100 + 1 / 1000) / 2e-3), rel=0.25)


def test_thresholds_are_the_same_on_every_run() -> None:
    table = slates(seed=1)

    assert limits(ready(table)) == limits(ready(table))


def test_few_days_say_little_of_how_days_differ_and_one_says_nothing() -> None:
    def with_effects(days: int) -> Ready:
        table = slates(seed=2, requests=2_000, days=days)
        day = table["moment"].cast(pa.int64()).to_numpy() // DAY_US
        effects = np.random.default_rng(3).normal(scale=0.5, size=days)
        return ready(with_columns(table, {"fit": table["fit"].to_numpy() + effects[day]}))

    four, month = with_effects(4), with_effects(28)

    assert limits(four)["fit"] > 3 * limits(month)["fit"]
    assert limits(with_effects(1))["fit"] < 0.3


def test_two_statistics_that_always_agree_share_the_whole_alarm_rate() -> None:
    draws = np.arange(1_000.0)

    assert equally_rare(draws, 2 * draws, 0.05) == (949.0, 1898.0)


def test_two_statistics_that_never_agree_are_passed_by_no_more_draws_than_allowed() -> None:
    shift, distance = np.random.default_rng(1).normal(size=(2, 5_000))

    limits_found = equally_rare(shift, distance, 0.05)

    passed = (shift > limits_found[0]) | (distance > limits_found[1])
    rare = [float((values > limit).mean()) for values, limit in zip((shift, distance), limits_found, strict=True)]
    assert 0.048 < passed.mean() <= 0.05
    assert rare[0] == pytest.approx(rare[1], abs=1e-3)
