"""CPU time a request: what is told of it, and when it fails, passes or stays open."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm, t

from k8s.evidence.cpu import Cpu, CpuSums
from k8s.evidence.window import Missing
from k8s.judgement.saturation import judge_saturation
from k8s.judgement.two_ratios import as_normal, log_e_above
from k8s.policy.load import PolicyRefused, policy_of
from k8s.policy.rules import SaturationRule
from training.verdict import Verdict

RULE = SaturationRule()
LOOKS = st.lists(st.tuples(st.floats(0, 50), st.floats(1, 60), st.integers(0, 5000)), min_size=2, max_size=8)


def spent(milliseconds: float, *, requests: int = 200, looks: int = 10, idle: float = 0.0) -> CpuSums:
    """Looks ten seconds apart, every second one a tenth dearer than this and the others a tenth cheaper."""
    sums = CpuSums()
    for look in range(looks):
        busy = milliseconds / 1000 * requests * (1.1 if look % 2 else 0.9)
        sums = sums.plus(busy + 10 * idle, 10.0, requests)
    return sums


STABLE = spent(3.0, requests=20_000)


def judged(canary: CpuSums, stable: CpuSums = STABLE, rule: SaturationRule = RULE) -> tuple[Verdict, str]:
    found = judge_saturation(Cpu(canary, stable), rule, false_alarm=0.001, false_pass=0.05)
    return found.verdict, found.reason


@pytest.mark.parametrize(
    ("milliseconds", "expected"),
    [(3.0, Verdict.PASS), (2.0, Verdict.PASS), (5.3, Verdict.INCONCLUSIVE), (9.0, Verdict.FAIL)],
)
def test_a_canary_is_judged_by_what_a_request_costs_it(milliseconds: float, expected: Verdict) -> None:
    assert judged(spent(milliseconds, requests=2000))[0] is expected


def test_the_sentence_tells_both_costs_and_both_bounds() -> None:
    assert judged(spent(9.0, requests=2000))[1] == (
        "saturation: canary 9.00 ms of CPU a request, 8.75 beside 5% idle, stable 3.00 ms; tolerated 1.5 x, limit 2 x"
    )


def test_what_a_pod_does_without_requests_is_not_held_against_a_canary_with_few() -> None:
    few = spent(3.0, requests=20, idle=0.04)

    assert judged(few)[0] is Verdict.PASS
    assert judged(few, rule=RULE.model_copy(update={"idle": 0.0}))[0] is Verdict.FAIL


def test_a_burst_makes_the_answer_uncertain_and_not_bad() -> None:
    burst = spent(3.0, requests=200).plus(6.0, 10.0, 200)

    assert judged(burst)[0] is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(
    ("canary", "said"),
    [
        (spent(9.0, looks=7), "saturation: 7 of at least 8 looks so far"),
        (spent(9.0, requests=0), "saturation: no requests or no CPU time so far"),
        (replace(spent(9.0), cc=math.nan), "saturation: expected finite sums"),
    ],
)
def test_too_little_is_no_evidence(canary: CpuSums, said: str) -> None:
    assert judged(canary) == (Verdict.INCONCLUSIVE, said)


def test_pods_that_do_not_say_what_they_take_hold_the_step_with_a_reason() -> None:
    found = judge_saturation(Missing("nobody said"), RULE, false_alarm=0.001, false_pass=0.05)

    assert (found.verdict, found.reason) == (Verdict.INCONCLUSIVE, "saturation: no evidence: nobody said")
    assert found.holds


def test_without_a_limit_it_can_end_a_rollout_and_never_holds_one_up() -> None:
    rule = SaturationRule(limit=None)

    found = judge_saturation(Cpu(spent(9.0, looks=2), STABLE), rule, false_alarm=0.001, false_pass=0.05)

    assert (found.verdict, found.holds) == (Verdict.INCONCLUSIVE, False)
    assert [judged(spent(each, requests=2000), rule=rule)[0] for each in (3.0, 9.0)] == [Verdict.PASS, Verdict.FAIL]


@given(LOOKS, st.floats(0, 0.1))
def test_the_cost_is_the_ratio_of_sums_with_the_variance_of_its_looks(
    looks: list[tuple[float, float, int]], idle: float
) -> None:
    sums = CpuSums()
    for look in looks:
        sums = sums.plus(*look)
    c, seconds, r = np.array(looks, dtype=float).T
    busy, found = c - idle * seconds, sums.a_request(idle=idle)

    assert (found.units, found.b) == (len(looks), pytest.approx(r.sum()))
    assert found.a == pytest.approx(busy.sum(), abs=1e-9)
    if r.sum():
        residual = busy - busy.sum() / r.sum() * r
        expected = (residual**2).sum() / r.sum() ** 2 * len(looks) / (len(looks) - 1)
        assert found.variance == pytest.approx(expected, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("freedom", [7, 20, 200])
@pytest.mark.parametrize("value", [-4.0, 0.0, 2.0, 5.0])
def test_students_t_becomes_the_normal_deviate_that_is_as_unlikely(value: float, freedom: int) -> None:
    assert as_normal(value, freedom=freedom) == pytest.approx(norm.isf(t.sf(value, freedom)), abs=0.03)


def test_a_canary_at_what_is_tolerated_rarely_fails_however_often_it_is_looked_at() -> None:
    """Four hundred steps of 40 looks: the chance of ever failing at the level 5 % is at most that."""
    rng, failed = np.random.default_rng(7), 0
    for _ in range(400):
        canary, stable = CpuSums(), CpuSums()
        ever = False
        for look in range(40):
            canary = canary.plus(1.5 * rng.gamma(9, 1 / 9), 10.0, 1000.0)
            stable = stable.plus(10 * rng.gamma(90, 1 / 90), 10.0, 10_000.0)
            if look + 1 >= RULE.min_looks:
                found = log_e_above(canary.a_request(), stable.a_request(), times=1.5, scale=0.5)
                ever = ever or found >= math.log(1 / 0.05)
        failed += ever

    assert failed / 400 <= 0.05


@pytest.mark.parametrize(
    ("stated", "said"),
    [
        ({"tolerated": 1.5}, "expected a number with its unit (x)"),
        ({"limit": "1.2 x"}, "expected tolerated to be below limit"),
        ({"idle": "5 ms"}, "expected a number with its unit (%)"),
        ({"memory": "1 x"}, "Extra inputs are not permitted"),
    ],
)
def test_a_rule_without_units_or_out_of_order_is_refused(stated: dict[str, object], said: str) -> None:
    with pytest.raises(PolicyRefused) as refused:
        policy_of({"canary": {"saturation": stated}}, named="policy.yaml")

    assert said in str(refused.value)
