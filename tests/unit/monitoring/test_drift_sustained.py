"""The newest window with the one before: a shift that stays, and a window before that cannot be used."""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from drift_windows import moved, slates, with_columns

from monitoring.drift.judge import Judge, Judgement
from monitoring.drift.policy import DriftPolicy
from monitoring.drift.sustained import TOGETHER, judge_newest, pooled
from monitoring.drift.window import Window, window_of
from training.verdict import Verdict

POLICY = DriftPolicy(draws=500, alarm_rate=0.02, smallest_shift=0.01, smallest_distance=0.01)
REQUESTS = 700
SMALL = 0.057  # standard deviations: between the thresholds of two weeks and of one


def week(number: int, fit: float = 0.0, *, weeks: int = 1) -> pa.Table:
    """With `fit` of just that mean."""
    table = slates(seed=number, requests=weeks * REQUESTS, first_day=7 * number, days=7 * weeks)
    return moved(table, fit=fit - pc.mean(table["fit"]).as_py())


def window(table: pa.Table) -> Window:
    return window_of(table, POLICY)


@pytest.fixture(scope="module")
def judge() -> Judge:
    return Judge(window(week(0, weeks=4)), POLICY)


def newest(judge: Judge, current: pa.Table, previous: pa.Table | None) -> Judgement:
    return judge_newest(judge, window(current), window(previous) if previous else None, POLICY)


def seen(judged: Judgement, name: str) -> Any:
    return next(column for column in judged.columns if column.column == name)


def test_quiet_weeks_pass_together_and_both_answers_are_said(judge: Judge) -> None:
    judged = newest(judge, week(5), week(4))

    assert judged.assessment.verdict is Verdict.PASS
    assert judged.assessment.reasons[0].startswith(f"{TOGETHER}, none of ")
    assert judged.assessment.reasons[1].startswith("none of ")


def test_a_shift_too_small_for_one_week_is_seen_once_it_lasted_two(judge: Judge) -> None:
    alone, first, second = (newest(judge, week(5, SMALL), before) for before in (None, week(4), week(4, SMALL)))

    verdicts = [judged.assessment.verdict for judged in (alone, first, second)]
    assert verdicts == [Verdict.PASS, Verdict.PASS, Verdict.FAIL]
    assert second.assessment.reasons[0].startswith(f"{TOGETHER}, 1 of ")
    assert seen(second, "fit").drifted
    assert second.sides[1].size.requests == REQUESTS


def test_a_large_shift_is_seen_in_its_first_week(judge: Judge) -> None:
    judged = newest(judge, week(5, 0.5), week(4))

    assert judged.assessment.verdict is Verdict.FAIL
    assert judged.assessment.reasons[0].startswith("1 of ")


@pytest.mark.parametrize(
    "previous",
    [
        pytest.param(slates(seed=4, requests=20), id="thin"),
        pytest.param(slates(seed=4, requests=REQUESTS, price=None), id="without a column"),
        pytest.param(with_columns(slates(seed=4, requests=REQUESTS), {"fit": [None] * 5 * REQUESTS}), id="broken"),
        pytest.param(pa.concat_tables([slates(seed=4, requests=REQUESTS)] * 2), id="there twice"),
    ],
)
def test_a_window_before_that_cannot_be_judged_leaves_the_newest_alone(judge: Judge, previous: pa.Table) -> None:
    judged, alone = newest(judge, week(5), previous), newest(judge, week(5), None)

    assert judged == alone
    assert judged.assessment.verdict is Verdict.PASS


def test_a_newest_window_that_cannot_be_judged_is_never_green_for_the_one_before(judge: Judge) -> None:
    judged = newest(judge, week(5).slice(0, 50), week(4))

    assert judged.assessment.verdict is Verdict.INCONCLUSIVE


def test_each_of_two_questions_has_half_of_the_alarms_and_so_wider_thresholds(judge: Judge) -> None:
    whole, half = (judge.judge(window(week(5)), share) for share in (1.0, 0.5))

    assert seen(half, "fit").shift == seen(whole, "fit").shift
    assert seen(half, "fit").shift_threshold > seen(whole, "fit").shift_threshold


def test_pooled_windows_hold_the_rows_and_the_flaws_of_both() -> None:
    before, after = window(week(4)), window(week(5))
    flawed = Window(before.size, before.sample, ("late",), source="log")

    both = pooled(flawed, after)

    assert both is not None
    assert (both.size.requests, both.sample.num_rows) == (2 * REQUESTS, before.sample.num_rows + after.sample.num_rows)
    assert (both.flaws, both.source) == (("late",), "window")
