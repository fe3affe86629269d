"""The judgement of a step."""

import dataclasses
import math

from hypothesis import given
from hypothesis import strategies as st

from k8s.assess import assess
from k8s.evidence import Latencies, Missing, OperationsEvidence, Window
from k8s.policy import Policy
from training.verdict import Verdict

POLICY = Policy()
BOUNDS = (5.0, 10.0, 50.0, 100.0, math.inf)


def window(requests: float, *, errors: float = 0, degraded: float = 0, slow: float = 0) -> Window:
    """Requests that end within 5 ms, but for the slow ones, which take 50 to 100 ms."""
    return Window(requests, errors, degraded, Latencies(BOUNDS, (requests - slow, 0, 0, slow, 0)))


def verdict(canary: Window | Missing, stable: Window | Missing, *, age: float = 0.0) -> Verdict:
    return assess(OperationsEvidence(canary, stable, age), POLICY).verdict


def test_an_equal_canary_with_enough_requests_passes() -> None:
    assert verdict(window(150), window(1350)) is Verdict.PASS


def test_one_tenth_of_errors_fails() -> None:
    assert verdict(window(150, errors=15), window(1350)) is Verdict.FAIL


def test_two_errors_in_150_are_too_little_to_tell() -> None:
    """Their share, 1.3 %, lies below the margin of 2 %, but 4 % would be no surprise."""
    assert verdict(window(150, errors=2), window(1350)) is Verdict.INCONCLUSIVE


def test_the_same_share_of_errors_passes_once_there_are_enough_requests() -> None:
    assert verdict(window(1500, errors=20), window(13500, errors=135)) is Verdict.PASS


def test_errors_that_the_stable_has_too_are_not_held_against_the_canary() -> None:
    assert verdict(window(2000, errors=200), window(18000, errors=1800)) is Verdict.PASS


def test_degraded_answers_beyond_their_margin_fail() -> None:
    assert verdict(window(150, degraded=30), window(1350)) is Verdict.FAIL


def test_a_canary_with_five_percent_of_slow_answers_fails() -> None:
    assert verdict(window(400, slow=20), window(3600)) is Verdict.FAIL


def test_two_slow_answers_in_150_are_too_little_to_tell() -> None:
    assert verdict(window(150, slow=2), window(1350)) is Verdict.INCONCLUSIVE


def test_milliseconds_below_the_floor_are_noise_whatever_their_ratio() -> None:
    """Ten against five milliseconds is a ratio of 2 and a difference that nobody feels."""
    slower = Window(150, 0, 0, Latencies(BOUNDS, (0, 150, 0, 0, 0)))

    assert verdict(slower, window(1350)) is Verdict.PASS


def test_a_stable_beyond_the_last_bucket_leaves_the_p99_open() -> None:
    beyond = Window(1350, 0, 0, Latencies(BOUNDS, (0, 0, 0, 0, 1350)))

    assert verdict(window(150), beyond) is Verdict.INCONCLUSIVE


def test_a_canary_beyond_the_last_bucket_fails() -> None:
    beyond = Window(150, 0, 0, Latencies(BOUNDS, (0, 0, 0, 0, 150)))

    assert verdict(beyond, window(1350)) is Verdict.FAIL


def test_requests_without_any_timing_leave_the_p99_open() -> None:
    untimed = Window(150, 0, 0, Latencies(BOUNDS, (0, 0, 0, 0, 0)))

    assert verdict(untimed, window(1350)) is Verdict.INCONCLUSIVE


def test_stable_evidence_of_an_hour_ago_is_stale() -> None:
    assessment = assess(OperationsEvidence(window(150), window(1350), 3600.0), POLICY)

    assert assessment.verdict is Verdict.INCONCLUSIVE
    assert assessment.reasons == ("stable: its evidence is 3600 s old, at most 900 s count",)


def test_an_age_that_is_no_number_is_stale() -> None:
    assert verdict(window(150), window(1350), age=math.nan) is Verdict.INCONCLUSIVE


def test_missing_evidence_gives_its_reason() -> None:
    assessment = assess(OperationsEvidence(Missing("/metrics answered 404"), window(1350)), POLICY)

    assert assessment.verdict is Verdict.INCONCLUSIVE
    assert assessment.reasons == ("canary: no evidence: /metrics answered 404",)


def test_more_errors_than_requests_is_no_evidence() -> None:
    assert verdict(window(150, errors=151), window(1350)) is Verdict.INCONCLUSIVE


def test_every_measure_is_among_the_reasons_with_its_own_verdict() -> None:
    assessment = assess(OperationsEvidence(window(400, slow=20), window(3600)), POLICY)

    measures = [(reason.split(":")[0], reason[-6:]) for reason in assessment.reasons]
    assert measures == [("errors", "(PASS)"), ("degraded", "(PASS)"), ("p99", "(FAIL)")]


COUNTS = st.integers(0, 5000)


@given(COUNTS, COUNTS, COUNTS, st.integers(0, 149))
def test_too_few_requests_never_promote(errors: int, degraded: int, stable: int, canary: int) -> None:
    found = verdict(window(canary, errors=min(errors, canary), degraded=min(degraded, canary)), window(stable))

    assert found is Verdict.INCONCLUSIVE


@given(st.sampled_from(["requests", "errors", "degraded", "latencies"]), st.booleans())
def test_a_value_that_is_no_number_never_promotes(field: str, in_canary: bool) -> None:
    nothing: object = Latencies(BOUNDS, (150.0, math.nan, 0, 0, 0)) if field == "latencies" else math.nan
    canary, stable = window(150), window(1350)
    if in_canary:
        canary = dataclasses.replace(canary, **{field: nothing})
    else:
        stable = dataclasses.replace(stable, **{field: nothing})

    assert verdict(canary, stable) is Verdict.INCONCLUSIVE


@given(st.integers(150, 5000), st.integers(150, 50_000), st.data())
def test_one_more_error_never_makes_the_verdict_better(requests: int, stable: int, data: st.DataObject) -> None:
    errors = data.draw(st.integers(0, requests - 1))
    order = [Verdict.PASS, Verdict.INCONCLUSIVE, Verdict.FAIL]

    fewer, more = (verdict(window(requests, errors=count), window(stable)) for count in (errors, errors + 1))

    assert order.index(fewer) <= order.index(more)
