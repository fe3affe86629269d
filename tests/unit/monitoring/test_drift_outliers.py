"""Rows far out: told from others by rank among other people's, never by who has most of a small crowd."""

from typing import Any

import numpy as np
import pytest
from drift_windows import SLATE, slates, with_columns

from monitoring.drift.judge import Judge, Judgement
from monitoring.drift.outliers import OUTLIERS, Tails
from monitoring.drift.policy import DriftPolicy
from monitoring.drift.verdict import ColumnResult
from monitoring.drift.window import window_of
from training.verdict import Verdict

POLICY = DriftPolicy(draws=100)
REQUESTS = 2_000


def judge(before: Any, after: Any) -> Judgement:
    return Judge(window_of(before, POLICY), POLICY).judge(window_of(after, POLICY))


def outliers(judged: Judgement) -> ColumnResult | None:
    return next((column for column in judged.columns if column.column == OUTLIERS), None)


def test_a_tail_probability_counts_other_peoples_rows_on_the_nearer_side() -> None:
    tails = Tails.of(np.array([1.0, 2.0, 3.0, 9.0, 9.0]), np.array([0, 1, 2, 3, 3]))

    found = tails.probability(np.array([9.0, 9.0, 0.5, 3.0]), np.array([3, -1, -1, 2]))

    # (rows as far out + 1) / (rows + 1): none of three, two of five, none of five, two of four.
    assert found == pytest.approx([1 / 4, 3 / 6, 1 / 6, 3 / 5])


def test_a_value_that_cannot_be_rare_enough_is_not_looked_up_and_a_missing_one_never() -> None:
    values = np.random.default_rng(1).normal(size=1_000)
    tails = Tails.of(values, np.arange(1_000))
    x = np.append(values, [np.nan, 99.0])

    looked_up = set(tails.candidates(x, 0.01).tolist())

    rare = np.flatnonzero(tails.probability(x, np.append(np.arange(1_000), [-1, -1])) < 0.01)
    assert set(rare.tolist()) - {1_000} <= looked_up
    assert 1_000 not in looked_up
    assert len(looked_up) < 40


def test_three_requests_in_a_hundred_far_beyond_anybodys_are_named_though_no_mean_moved() -> None:
    after = slates(seed=2, requests=REQUESTS, first_day=7)
    price = after["price"].to_numpy().copy()
    price[: 3 * REQUESTS * SLATE // 100] = 60.0  # the largest of ten thousand others is about as large

    judged = judge(slates(seed=1, requests=REQUESTS), with_columns(after, {"price": price}))

    found = outliers(judged)
    assert judged.assessment.verdict is Verdict.FAIL
    assert found is not None
    assert found.drifted
    assert found.shift == pytest.approx(0.3, abs=0.05)  # of the standard deviation of a share of 1 %


def test_quiet_rows_are_no_outliers_whether_their_people_were_met_or_not() -> None:
    before = slates(seed=1, requests=REQUESTS)

    same = outliers(judge(before, slates(seed=2, requests=REQUESTS, first_day=7)))
    after = slates(seed=3, requests=REQUESTS, first_day=7)
    strangers = [f"stranger {user}" for user in after["user_id"].to_pylist()]
    new = outliers(judge(before, with_columns(after, {"user_id": strangers})))

    assert same is not None
    assert new is not None
    assert (same.shift, new.shift) == (pytest.approx(0.0, abs=0.05), pytest.approx(0.0, abs=0.05))


def test_fewer_outliers_than_before_are_no_drift() -> None:
    after = slates(seed=2, requests=REQUESTS, first_day=7)
    flat = {name: np.full(after.num_rows, 0.1) + 0.01 * (np.arange(after.num_rows) % 7) for name in ("price", "fit")}

    found = outliers(judge(slates(seed=1, requests=REQUESTS), with_columns(after, flat)))

    assert found is not None
    assert found.shift == 0.0


def test_among_few_people_everybody_is_the_furthest_out_in_something_so_nobody_is_an_outlier() -> None:
    judged = judge(slates(seed=1, users=20), slates(seed=2, users=20, first_day=7))

    assert outliers(judged) is None
