"""The judge on windows with a known truth: quiet stays quiet, a planted shift is named, broken is never green."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from drift_windows import SLATE, moved, slates, with_columns

from feature_repo.core.errors import RecommenderError
from monitoring.drift.embeddings import Embeddings
from monitoring.drift.judge import Judge, Judgement
from monitoring.drift.policy import DriftPolicy
from monitoring.drift.verdict import ColumnResult
from monitoring.drift.window import window_of
from training.verdict import Verdict

POLICY = DriftPolicy(draws=100)
REQUESTS = 700
ROWS = REQUESTS * SLATE


def reference(**columns: Any) -> pa.Table:
    return slates(seed=1, requests=REQUESTS, **columns)


def current(**columns: Any) -> pa.Table:
    return slates(seed=2, requests=REQUESTS, first_day=7, **columns)


def judge(before: pa.Table, after: pa.Table, **settings: Any) -> Judgement:
    policy = POLICY.model_copy(update=settings)
    return Judge(window_of(before, policy), policy).judge(window_of(after, policy))


def column(judged: Judgement, name: str) -> ColumnResult:
    (found,) = [each for each in judged.columns if each.column == name]
    return found


def test_a_quiet_week_passes() -> None:
    judged = judge(reference(), current())

    assert judged.assessment.verdict is Verdict.PASS
    assert column(judged, "slate:overlap").compared


def test_identical_windows_lie_at_no_distance() -> None:
    judged = judge(reference(), reference())

    own = ("slate:overlap", "slate:novelty", "slate:unseen")  # measured against everybody else in the reference itself
    assert max(c.distance or 0.0 for c in judged.columns if c.column not in own) == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("name", ["taste", "fit", "score"])
def test_a_mean_that_moves_by_three_tenths_of_a_standard_deviation_is_named(name: str) -> None:
    judged = judge(reference(), moved(current(), **{name: 0.3}))

    assert judged.assessment.verdict is Verdict.FAIL
    assert f"{name} +0." in judged.assessment.reasons[0]
    assert [c.column for c in judged.columns if c.drifted] == [name]


def test_a_change_of_shape_around_the_same_mean_is_named() -> None:
    after = current()
    judged = judge(reference(), with_columns(after, {"fit": after["fit"].to_numpy() * 1.5}))

    assert "fit changed shape by 0." in judged.assessment.reasons[0]


def test_many_requests_of_one_user_a_day_are_a_machine() -> None:
    after = current()
    users = np.array(after["user_id"].to_pylist(), object)
    users[: ROWS // 5] = "bot"

    judged = judge(reference(), with_columns(after, {"user_id": users}))

    assert column(judged, "requests of the user that day").drifted


def test_a_slate_that_shows_everybody_the_same_items_is_named() -> None:
    uneven = with_columns(reference(), {"item_id": [f"i{(row % 40) ** 2 // 40}" for row in range(ROWS)]})
    narrow = with_columns(current(), {"item_id": ["i0"] * ROWS})

    judged = judge(uneven, narrow)

    assert column(judged, "slate:overlap").drifted
    assert (column(judged, "slate:novelty").shift or 0.0) < -0.3


def test_a_share_of_answers_that_were_gone_on_to_is_compared_where_both_windows_count_it() -> None:
    clicked = (np.random.default_rng(1).random(ROWS) < 0.3).astype(np.float32)
    fewer = clicked * (np.arange(ROWS) % 2)

    judged = judge(reference(label=clicked), current(label=fewer))

    assert column(judged, "label").drifted


def test_ages_may_grow_by_the_days_between_and_totals_are_compared_as_rates() -> None:
    age = np.random.default_rng(5).uniform(50, 60, ROWS)
    rate = np.random.default_rng(6).normal(3.0, 1.0, ROWS)

    def grown(days: float) -> dict[str, Any]:
        return {"item_age_days": age + days, "item_events": rate * (age + days)}

    quiet = judge(reference(**grown(0)), current(**grown(7)))
    younger, older = (judge(reference(**grown(0)), current(**grown(days))) for days in (-7.0, 21.0))

    assert quiet.assessment.verdict is Verdict.PASS
    assert column(quiet, "item_age_days").shift == pytest.approx(0.0, abs=0.1)
    assert column(younger, "item_age_days").drifted
    assert column(older, "item_age_days").drifted
    assert not column(older, "item_events").drifted


def test_a_rate_that_never_varies_cannot_be_compared() -> None:
    age = np.random.default_rng(5).uniform(50, 60, ROWS)
    steady = {"item_age_days": age, "item_events": 3.0 * age}

    assert column(judge(reference(**steady), current(**steady)), "item_events").finding == (
        "does not vary in the reference, as a rate a day"
    )


def test_more_events_a_day_are_drift_of_a_total() -> None:
    age = np.random.default_rng(5).uniform(50, 60, ROWS)
    rate = np.random.default_rng(6).normal(3.0, 1.0, ROWS)

    judged = judge(
        reference(item_age_days=age, item_events=rate * age),
        current(item_age_days=age + 7, item_events=(rate + 0.5) * (age + 7)),
    )

    assert column(judged, "item_events").shift == pytest.approx(0.5, abs=0.1)
    assert judged.assessment.verdict is Verdict.FAIL


def test_a_flood_of_new_items_is_drift_and_their_ageing_is_not() -> None:
    old = np.random.default_rng(5).uniform(0, 60, ROWS)
    flood = np.where(np.random.default_rng(6).random(ROWS) < 0.3, 0.0, old)

    assert column(judge(reference(item_age_days=old), current(item_age_days=flood)), "share:new items").drifted
    assert column(judge(reference(item_age_days=flood), current(item_age_days=old)), "share:new items").shift == 0.0


def test_the_hour_is_judged_only_where_both_windows_hold_a_week() -> None:
    hour = np.arange(ROWS) % 24.0

    part = judge(reference(hour=hour), slates(seed=2, requests=REQUESTS, first_day=7, days=2, hour=hour))

    assert column(part, "hour").expected
    assert "not judged, a window holds no whole week: hour" in part.assessment.reasons
    assert column(judge(reference(hour=hour), current(hour=hour)), "hour").compared


def test_texts_are_compared_value_by_value_and_a_new_one_is_never_green() -> None:
    before = reference(device=["phone", "desk", "desk"] * (ROWS // 3) + ["desk"] * (ROWS % 3))
    flipped = judge(before, current(device=["desk", "phone", "phone"] * (ROWS // 3) + ["desk"] * (ROWS % 3)))
    new = judge(before, current(device=["phone", "desk", "glasses"] * (ROWS // 3) + ["desk"] * (ROWS % 3)))

    assert column(flipped, "device=phone").drifted
    assert new.assessment.verdict is Verdict.INCONCLUSIVE
    assert "hold a category that the reference does not have: 'glasses'" in new.assessment.reasons[0]


def test_items_that_lie_elsewhere_in_the_towers_space_are_seen_although_means_of_centred_vectors_are_equal() -> None:
    angle = np.linspace(0, 2 * np.pi, 97, endpoint=False)
    vectors = np.stack([np.cos(angle), 0.3 * np.sin(angle)], axis=1)
    embeddings = Embeddings.of([f"i{number}" for number in range(97)], vectors)
    ends = [f"i{(0, 48)[row % 2]}" for row in range(ROWS)]

    found = Judge(window_of(reference(), POLICY), POLICY, embeddings)
    quiet = found.judge(window_of(current(), POLICY))
    polar = found.judge(window_of(with_columns(current(), {"item_id": ends}), POLICY))

    assert quiet.assessment.verdict is Verdict.PASS
    assert column(polar, "embedding:1").drifted
    assert abs(column(polar, "embedding:1").shift or 0.0) < 0.1


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"fit": np.full(ROWS, 3.0)}, "fit: constant: "),
        ({"fit": np.full(ROWS, np.nan)}, "fit: holds no value in the current window"),
        ({"fit": pa.nulls(ROWS, pa.float32())}, "fit: holds no value in the current window"),
        ({"fit": ["old"] * ROWS}, "fit: changed type from number to text"),
        ({"fit": None}, "fit: missing from the current window"),
        ({"item_id": None}, "slate:overlap: missing from the current window"),
        ({"surprise": np.arange(ROWS)}, "surprise: not in the reference"),
        ({"fit": np.where(np.arange(ROWS) % 10, 1.0 * np.arange(ROWS), np.nan)}, "fit: missing in 10% of the rows"),
    ],
)
def test_a_broken_column_is_never_green_and_named(columns: dict[str, Any], reason: str) -> None:
    assessment = judge(reference(), current(**columns)).assessment

    assert assessment.verdict is not Verdict.PASS
    assert any(found.startswith(reason) for found in assessment.reasons), assessment.reasons


@pytest.mark.parametrize("rows", [0, 1])
def test_a_window_of_no_row_or_one_is_inconclusive(rows: int) -> None:
    assessment = judge(reference(), current().slice(0, rows)).assessment

    assert assessment.verdict is Verdict.INCONCLUSIVE
    expected = "current window is empty" if not rows else "current window has 1 rows; the policy asks for at least 500"
    assert assessment.reasons[0] == expected


def test_an_empty_reference_is_inconclusive_too() -> None:
    assessment = judge(reference().slice(0, 0), current()).assessment

    assert (assessment.verdict, assessment.reasons) == (Verdict.INCONCLUSIVE, ("reference window is empty",))


def test_requests_that_are_there_twice_are_inconclusive() -> None:
    twice = pa.concat_tables([current(), current().slice(0, 50)])

    assessment = judge(reference(), twice).assessment

    assert assessment.verdict is Verdict.INCONCLUSIVE
    assert assessment.reasons == (f"current window has 50 of {ROWS + 50:,} rows twice",)


def test_moments_that_are_no_timestamps_are_refused() -> None:
    with pytest.raises(RecommenderError, match="a window's column moment holds timestamps; got string"):
        judge(reference(), with_columns(current(), {"moment": ["today"] * ROWS}))


def test_a_constant_column_is_green_only_where_the_policy_expects_it() -> None:
    both = {"always_one": np.ones(ROWS)}

    strict = judge(reference(**both), current(**both))
    expected = judge(reference(**both), current(**both), constant_by_design=frozenset({"always_one"}))

    assert strict.assessment.verdict is Verdict.INCONCLUSIVE
    assert strict.assessment.reasons[0].startswith("always_one: constant in both windows (always 1)")
    assert expected.assessment.verdict is Verdict.PASS


def test_a_flag_of_a_rare_genre_may_be_absent_from_one_window_or_both_and_a_common_one_may_not() -> None:
    rare, never = (np.arange(ROWS) % 500 == 0).astype(float), np.zeros(ROWS)

    quiet = judge(
        reference(**{"genre=Western": rare, "genre=unknown": never}),
        current(**{"genre=Western": never, "genre=unknown": never}),
    )
    gone = judge(reference(), current(**{"genre=War": never}))

    assert quiet.assessment.verdict is Verdict.PASS
    assert column(quiet, "genre=unknown").expected
    assert gone.assessment.verdict is Verdict.INCONCLUSIVE


def test_columns_with_gaps_are_compared_by_where_the_gaps_are_as_well() -> None:
    gaps = np.where(np.random.default_rng(5).random(ROWS) < 0.2, np.nan, 1.0 * np.arange(ROWS))
    whole = 1.0 * np.arange(ROWS)

    assert column(judge(reference(late=gaps), current(late=gaps)), "missing:late").compared
    assert column(judge(reference(late=gaps), current(late=whole)), "missing:late").drifted
