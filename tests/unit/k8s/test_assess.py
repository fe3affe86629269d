"""The judgement of a step: operations, quality, the split and the shadow, each where the answer is known."""

import dataclasses
import math
from dataclasses import replace
from datetime import UTC, datetime
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8s.evidence.cpu import Cpu, CpuSums
from k8s.evidence.pairs import Pairs
from k8s.evidence.rates import Allotted, Quality, Rate, RateSums
from k8s.evidence.ratio import Products
from k8s.evidence.window import Latencies, Missing, Operations, Window
from k8s.judgement.alarm import PARTS, operations_alarm
from k8s.judgement.assess import CanaryEvidence, ReadyEvidence, ShadowEvidence, assess
from k8s.judgement.mixture import log_chance, log_e_normal, log_mixture
from k8s.judgement.two_ratios import standard_error
from k8s.judgement.two_shares import Count, log_e_above, log_e_below
from k8s.policy.rules import CanaryPolicy, RolloutPolicy
from k8s.rollout.pods import PodsSeen
from k8s.rollout.rollout import Rollout
from k8s.rollout.states import State
from training.verdict import Verdict

NOW = datetime(2026, 1, 1, tzinfo=UTC)
BOUNDS = (5.0, 6.5, 8.0, 10.0, 50.0, 100.0, math.inf)
PENDING = Rollout.begin("1-2", "1", "2", RolloutPolicy(), now=NOW)
AT = replace(PENDING, state=State.CANARY, index=0)
BARE = replace(AT, policy=RolloutPolicy(canary=CanaryPolicy(clicks=None, conversions=None)))


def window(requests: float, *, errors: float = 0, degraded: float = 0, slow: float = 0) -> Window:
    """Requests that end within 5 ms, but for the slow ones, which take 50 to 100 ms."""
    return Window(requests, errors, degraded, Latencies(BOUNDS, (requests - slow, 0, 0, 0, 0, slow, 0)))


def cpu(milliseconds: float, *, looks: int = 10, each: float = 200.0, idle: float = 0.0) -> CpuSums:
    """Looks ten seconds apart at one pod, every second one a tenth dearer than this and the others a tenth cheaper."""
    sums = CpuSums()
    for look in range(looks):
        spent = milliseconds / 1000 * each * (1.1 if look % 2 else 0.9) + 10 * idle
        sums = sums.plus(spent, 10.0, each)
    return sums


SAME = Cpu(cpu(3.0), cpu(3.0, each=20_000))


def verdict(canary: Window | Missing, stable: Window | Missing, *, age: float = 0.0) -> Verdict:
    return assess(BARE, CanaryEvidence(Operations(canary, stable, age, SAME))).verdict


FINE = Operations(window(2000), window(200_000), cpu=SAME)


def test_an_equal_canary_with_enough_requests_passes() -> None:
    assert verdict(window(2000), window(200_000)) is Verdict.PASS


@pytest.mark.parametrize("fault", [{"errors": 40}, {"degraded": 120}, {"slow": 60}])
def test_two_percent_of_errors_and_the_like_fail(fault: dict[str, float]) -> None:
    assert verdict(window(2000, **fault), window(200_000)) is Verdict.FAIL


@pytest.mark.parametrize("fault", [{"errors": 5}, {"degraded": 20}, {"slow": 20}])
def test_what_lies_between_tolerated_and_limit_stays_open(fault: dict[str, float]) -> None:
    assert verdict(window(2000, **fault), window(200_000)) is Verdict.INCONCLUSIVE


def test_errors_that_the_stable_has_too_are_not_held_against_the_canary() -> None:
    assert verdict(window(20_000, errors=200), window(200_000, errors=2000)) is Verdict.PASS


def test_doubled_latencies_fail_at_the_median() -> None:
    doubled = Window(200, 0, 0, Latencies(BOUNDS, (0, 0, 0, 200, 0, 0, 0)))

    found = assess(BARE, CanaryEvidence(Operations(doubled, window(20_000))))

    assert found.verdict is Verdict.FAIL
    assert found.reasons[2].startswith("p50: canary 9.0 ms, stable 2.5 ms; 200 of 200 beyond 5 ms, 50% may be")


def test_milliseconds_below_the_floor_are_noise_whatever_their_ratio() -> None:
    fast = Window(20_000, 0, 0, Latencies((1.0, 2.0, 4.0, math.inf), (20_000, 0, 0, 0)))
    tripled = Window(2000, 0, 0, Latencies((1.0, 2.0, 4.0, math.inf), (0, 2000, 0, 0)))

    assert verdict(tripled, fast) is Verdict.PASS


def test_a_stable_beyond_the_last_bucket_leaves_the_latency_open() -> None:
    beyond = Window(20_000, 0, 0, Latencies(BOUNDS, (0, 0, 0, 0, 0, 0, 20_000)))

    assert verdict(window(2000), beyond) is Verdict.INCONCLUSIVE


def test_a_canary_beyond_the_last_bucket_fails() -> None:
    beyond = Window(2000, 0, 0, Latencies(BOUNDS, (0, 0, 0, 0, 0, 0, 2000)))

    assert verdict(beyond, window(20_000)) is Verdict.FAIL


def test_a_stable_with_too_few_timed_requests_leaves_the_latency_open() -> None:
    untimed = Window(2000, 0, 0, Latencies(BOUNDS, (0,) * 7))

    assert verdict(window(2000), untimed) is Verdict.INCONCLUSIVE
    assert verdict(untimed, window(20_000)) is Verdict.INCONCLUSIVE


@pytest.mark.parametrize("age", [61.0, math.nan])
def test_old_evidence_is_no_evidence(age: float) -> None:
    found = assess(BARE, CanaryEvidence(dataclasses.replace(FINE, age_seconds=age)))

    assert found.verdict is Verdict.INCONCLUSIVE
    assert found.reasons[0].startswith(f"operations: the evidence is {age:.0f} s old, at most 60 s count")


def test_missing_evidence_gives_its_reason() -> None:
    found = assess(BARE, CanaryEvidence(Operations(Missing("/metrics answered 404"), window(1350))))

    assert found.verdict is Verdict.INCONCLUSIVE
    assert found.reasons == ("canary: no evidence: /metrics answered 404 (INCONCLUSIVE)",)


def test_more_errors_than_requests_is_no_evidence() -> None:
    assert verdict(window(150, errors=151), window(1350)) is Verdict.INCONCLUSIVE


def test_evidence_of_another_state_is_a_mistake() -> None:
    with pytest.raises(TypeError, match="expected evidence of a rollout that is PENDING; got CanaryEvidence"):
        assess(PENDING, CanaryEvidence(FINE))


COUNTS = st.integers(0, 5000)


@given(COUNTS, COUNTS, COUNTS, st.integers(0, 499))
def test_too_few_requests_never_pass(errors: int, degraded: int, stable: int, canary: int) -> None:
    found = verdict(window(canary, errors=min(errors, canary), degraded=min(degraded, canary)), window(stable))

    assert found is not Verdict.PASS


@given(st.sampled_from(["requests", "errors", "degraded", "latencies"]), st.booleans())
def test_a_value_that_is_no_number_never_decides(field: str, in_canary: bool) -> None:
    nothing: object = Latencies(BOUNDS, (150.0, math.nan, 0, 0, 0, 0, 0)) if field == "latencies" else math.nan
    canary, stable = window(2000), window(200_000)
    if in_canary:
        canary = dataclasses.replace(canary, **{field: nothing})
    else:
        stable = dataclasses.replace(stable, **{field: nothing})

    assert verdict(canary, stable) is Verdict.INCONCLUSIVE


@given(st.integers(500, 5000), st.integers(5000, 50_000), st.data())
def test_one_more_error_never_makes_the_verdict_better(requests: int, stable: int, data: st.DataObject) -> None:
    errors = data.draw(st.integers(0, requests - 1))
    order = [Verdict.PASS, Verdict.INCONCLUSIVE, Verdict.FAIL]

    fewer, more = (verdict(window(requests, errors=count), window(stable)) for count in (errors, errors + 1))

    assert order.index(fewer) <= order.index(more)


def sums(users: int, rate: float) -> RateSums:
    """Users of three slates of ten each, who click as often as the rate says; every impression weighs 1."""
    shown, spread = 30.0, 1.5
    clicks = shown * rate
    squares = users * (clicks**2 + spread)
    return RateSums(
        users,
        users * shown,
        users * clicks,
        users * clicks,
        users * shown,
        squares,
        users * clicks * shown,
        users * shown**2,
    )


def judged(rate: float, *, users: int = 2000, **changed: object) -> tuple[Verdict, str]:
    quality = Quality(Rate(sums(users, rate), sums(200_000, 0.05)), Missing("none sold"), Allotted(2000, 200_000))
    found = assess(AT, CanaryEvidence(FINE, dataclasses.replace(quality, **changed)))
    return found.verdict, " ".join(found.reasons)


def test_the_cluster_variance_is_the_one_of_a_ratio_over_users() -> None:
    """Two users, 10 impressions each, 0 and 2 clicks: the rate is 0.1, residuals are -1 and 1."""
    found = RateSums(2, 20, 2, 2, 20, 4, 20, 200)

    assert found.rate == pytest.approx(0.1)
    assert found.ratio.variance == pytest.approx((1 + 1) / 20**2 * 2)


def test_users_who_met_both_are_compared_with_themselves() -> None:
    """Two users, 10 impressions of each variant: 0 and 2 clicks on either. They differ, the variants do not."""
    side = RateSums(2, 20, 2, 2, 20, 4, 20, 200)

    apart, same = Rate(side, side), Rate(side, side, Products(4, 20, 20, 200))

    assert (apart.covariance, same.covariance) == (0.0, pytest.approx(side.ratio.variance))
    assert standard_error(side.ratio, side.ratio, times=1.0, covariance=same.covariance) == pytest.approx(0.0)


def test_the_error_of_the_difference_is_as_large_as_it_really_is_where_most_users_met_both() -> None:
    """1,000 rollouts of 200 users whose rates differ by their own size: what is off, over its error, varies by 1."""
    rng, shown = np.random.default_rng(3), 30.0
    met = np.array([[True, False]] * 25 + [[False, True]] * 25 + [[True, True]] * 150).T

    def rollout() -> tuple[float, float]:
        rate = np.minimum(0.05 * rng.lognormal(-0.35, 0.83, size=200), 1.0)
        b = shown * met
        a = np.where(met, rng.binomial(int(shown), rate, size=(2, 200)), 0)
        ours, theirs = (
            RateSums(n, n * shown, x.sum(), x.sum(), y.sum(), x @ x, x @ y, y @ y)
            for n, x, y in zip(met.sum(axis=1), a, b, strict=True)
        )
        seen = Rate(ours, theirs, Products(a[0] @ a[1], a[0] @ b[1], b[0] @ a[1], b[0] @ b[1]))
        difference = ours.rate - theirs.rate
        together, apart = (
            standard_error(ours.ratio, theirs.ratio, times=1.0, covariance=shared) for shared in (seen.covariance, 0.0)
        )
        return difference / together, difference / apart

    together, apart = np.array([rollout() for _ in range(1_000)]).std(axis=0)

    assert together == pytest.approx(1.0, abs=0.1)
    assert apart < 0.8


def test_what_users_have_in_common_closes_a_question_that_is_open_between_others() -> None:
    uneven = dataclasses.replace(sums(300, 0.05), aa=300 * 12.0)
    alike = Products(uneven.aa - 300, uneven.ab, uneven.ab, uneven.bb)

    assert judged(0.05, clicks=Rate(uneven, uneven))[0] is Verdict.INCONCLUSIVE
    assert judged(0.05, clicks=Rate(uneven, uneven, alike))[0] is Verdict.PASS


@pytest.mark.parametrize(
    ("rate", "expected"), [(0.05, Verdict.PASS), (0.06, Verdict.PASS), (0.039, Verdict.FAIL), (0.03, Verdict.FAIL)]
)
def test_a_click_rate_is_passed_or_failed_by_its_loss(rate: float, expected: Verdict) -> None:
    found, _ = judged(rate)

    assert found is expected


def test_few_users_or_clicks_leave_the_rate_open() -> None:
    assert judged(0.05, users=150) == (Verdict.INCONCLUSIVE, judged(0.05, users=150)[1])
    assert "clicks: 150 of at least 200 users of each variant so far" in judged(0.05, users=150)[1]
    rare = Quality(Rate(sums(300, 0.001), sums(300, 0.001)), Missing("-"), Allotted(2000, 200_000))
    assert "9 clicks, stable 9, of at least 100 so far" in " ".join(assess(AT, CanaryEvidence(FINE, rare)).reasons)


def test_a_canary_that_nobody_clicks_is_not_waited_for_until_it_has_enough_clicks() -> None:
    assert judged(0.0)[0] is Verdict.FAIL


def test_sums_that_are_no_numbers_leave_the_rate_open() -> None:
    broken = dataclasses.replace(sums(2000, 0.05), aa=math.nan)

    found, said = judged(0.05, clicks=Rate(broken, sums(200_000, 0.05)))

    assert (found, "clicks: expected finite sums" in said) == (Verdict.INCONCLUSIVE, True)


@pytest.mark.parametrize(
    ("allotted", "said"),
    [
        (Allotted(2600, 200_000), "split: 2600 of 200000 users (1.30%), expected 1.00%"),
        (Allotted(0, 0), "split: expected some users; got 0 of 0"),
        (Missing("no log"), "split: no evidence: no log"),
    ],
)
def test_a_split_that_is_off_or_unknown_leaves_quality_open_even_where_it_is_bad(allotted: object, said: str) -> None:
    found, reasons = judged(0.03, allotted=allotted)

    assert found is Verdict.INCONCLUSIVE
    assert said in reasons
    assert "not believed beside such a split" in reasons


def test_a_log_that_nobody_writes_any_more_leaves_quality_open() -> None:
    found, said = judged(0.05, age_seconds=400.0)

    assert found is Verdict.INCONCLUSIVE
    assert "the newest request of the log is 400 s old" in said


def test_conversions_can_fail_a_rollout_and_never_hold_one_up() -> None:
    fewer = Rate(sums(20_000, 0.03), sums(200_000, 0.05))

    assert judged(0.05)[0] is Verdict.PASS
    assert judged(0.05, conversions=fewer)[0] is Verdict.FAIL


def test_quality_that_was_asked_for_and_is_not_there_is_missing() -> None:
    found = assess(AT, CanaryEvidence(FINE))

    assert found.verdict is Verdict.INCONCLUSIVE
    assert "quality: no evidence, and the policy asks for it (INCONCLUSIVE)" in found.reasons


def test_conversions_without_any_rate_of_clicks_do_not_pass_unseen() -> None:
    found, said = judged(0.05, clicks=Missing("no log"))

    assert (found, "clicks: no evidence: no log" in said) == (Verdict.INCONCLUSIVE, True)


SHADOW = replace(PENDING, state=State.SHADOW)
MIRRORED = Operations(window(2000), window(2000), cpu=SAME)


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        (Pairs(1000, 990, 0.4, 0.2, 0.5, 0.0), Verdict.PASS),
        (Pairs(1000, 990, 0.01, 0.0, None, None), Verdict.FAIL),
        (Pairs(1000, 500, 0.4, 0.2, 0.5, 0.0), Verdict.INCONCLUSIVE),
        (Pairs(1000, 0, 0.0, 0.0, None, None), Verdict.INCONCLUSIVE),
        (Pairs(100, 100, 0.4, 0.2, 0.5, 0.0), Verdict.INCONCLUSIVE),
        (Missing("no log"), Verdict.INCONCLUSIVE),
    ],
)
def test_a_shadow_fails_only_for_the_absurd(pairs: Pairs | Missing, expected: Verdict) -> None:
    assert assess(SHADOW, ShadowEvidence(MIRRORED, pairs)).verdict is expected


def test_a_shadow_whose_copies_fail_is_rolled_back_before_any_user_sees_it() -> None:
    failing = Operations(window(2000, errors=200), window(2000))

    assert assess(SHADOW, ShadowEvidence(failing, Pairs(1000, 990, 0.4, 0.2, 0.5, 0.0))).verdict is Verdict.FAIL


@pytest.mark.parametrize(
    ("canary", "said"),
    [
        (PodsSeen(1, 1, ("2",), ("u",)), "both versions are ready"),
        (PodsSeen(0, 2, (), (), said="ImagePullBackOff"), "canary: 0 of 2 pods are ready: ImagePullBackOff"),
        (PodsSeen(0, 0, (), ()), "canary: 0 of 1 pods are ready"),
        (PodsSeen(2, 2, ("2", "3"), ("u",)), "canary: expected version 2 to be served; got 2, 3"),
    ],
)
def test_a_rollout_waits_for_pods_of_the_right_version(canary: PodsSeen, said: str) -> None:
    found = assess(PENDING, ReadyEvidence(PodsSeen(1, 1, ("1",), ("u",)), canary))

    assert found.reasons == (said,)
    assert found.verdict is (Verdict.PASS if said.startswith("both") else Verdict.INCONCLUSIVE)


def test_the_parts_of_the_false_alarm_are_the_whole_and_no_step_gets_more_than_is_left() -> None:
    assert sum(PARTS.values()) == pytest.approx(1)
    assert sum(operations_alarm(0.05, "errors", index) for index in range(-1, 30)) <= 0.05 * PARTS["errors"]


def test_the_mixture_is_a_distribution_over_sequences() -> None:
    whole = sum(math.comb(6, hits) * math.exp(log_mixture(hits, 6, a=0.5, b=50)) for hits in range(7))

    assert whole == pytest.approx(1)


@given(st.integers(0, 20), st.integers(1, 30), st.integers(0, 20), st.integers(1, 30), st.floats(0.001, 0.5))
def test_the_boundary_is_where_the_data_are_likeliest(x: int, m: int, y: int, n: int, margin: float) -> None:
    """Against a fine grid of pairs at the margin: no pair gives the data a larger likelihood than was divided by."""
    canary, stable = Count(min(x, m), m), Count(min(y, n), n)
    grid = np.linspace(0, 1 - margin, 400)
    best = max(
        log_chance(canary.hits, m, share + margin) + log_chance(stable.hits, n, share) for share in grid.tolist()
    )
    bets = log_mixture(canary.hits, m, a=0.5, b=50) + log_mixture(stable.hits, n, a=0.5, b=50)

    above, below = log_e_above(canary, stable, margin=margin), log_e_below(canary, stable, margin=margin)

    assert max(above, below) <= bets - best + 1e-6
    assert -math.inf in (above, below)


def test_the_e_value_of_two_shares_has_a_mean_of_at_most_one_under_the_hypothesis() -> None:
    """Exactly, over all outcomes of 12 canary and 12 stable requests at the edge of the hypothesis."""
    total, p, margin = 12, 0.1, 0.2
    mean = 0.0
    for x, y in product(range(total + 1), repeat=2):
        chance = (
            math.comb(total, x)
            * math.comb(total, y)
            * math.exp(log_chance(x, total, p + margin) + log_chance(y, total, p))
        )
        mean += chance * math.exp(log_e_above(Count(x, total), Count(y, total), margin=margin))

    assert mean <= 1


def test_the_normal_e_value_rarely_grows_under_the_hypothesis_however_often_it_is_looked_at() -> None:
    """Five hundred random walks without drift, 200 looks each: at most alpha of them ever reach 1 / alpha."""
    rng = np.random.default_rng(7)
    walks = rng.normal(size=(500, 200)).cumsum(axis=1)
    information = np.arange(1, 201)
    z = walks / np.sqrt(information)
    ever = sum(
        any(
            log_e_normal(float(value), float(i), scale=0.3) >= math.log(20)
            for value, i in zip(walk, information, strict=True)
        )
        for walk in z
    )

    assert ever / 500 <= 0.05


def test_the_normal_e_value_falls_where_the_effect_is_the_other_way() -> None:
    assert log_e_normal(-60.0, 100.0, scale=0.3) == -math.inf
    assert log_e_normal(-1.0, 100.0, scale=0.3) < log_e_normal(1.0, 100.0, scale=0.3)
