"""The judgement of quality: clicks and conversions an impression, clustered by user, over the whole rollout.

FAIL when the loss relative to the stable's rate is shown to be more than what is tolerated; PASS when it is shown to
be less than the step's limit. Evidence grows over all steps, so a rate is found out with what the early steps saw.
Before a rate is believed, the units must have fallen as the split says: a mismatch leaves it open, since what lost or
doubled users also chose whom it lost (A. Fabijan et al. 2019, Diagnosing sample ratio mismatch, KDD). Its test is
sequential too: M. Lindon, A. Malek (2022), Anytime-valid inference for multinomial count data, NeurIPS 35.
"""

import math
from collections.abc import Iterator

from k8s.evidence.rates import Allotted, Quality, Rate
from k8s.evidence.window import Missing
from k8s.judgement.alarm import log_needed, rate_alarm
from k8s.judgement.finding import Finding
from k8s.judgement.mixture import log_chance, log_mixture
from k8s.judgement.two_ratios import log_e_above, log_e_below, standard_error
from k8s.policy.rules import CanaryPolicy, RateRule
from training.verdict import Verdict


def judge_quality(seen: Quality, policy: CanaryPolicy, *, index: int) -> Iterator[Finding]:
    """A finding on the split, and one for each rate that the policy names."""
    split = _allotted(seen.allotted, policy, weight=policy.steps[index] / 100)
    yield split
    stale = not seen.age_seconds <= policy.max_silence
    for name, rule, rate in (
        ("clicks", policy.clicks, seen.clicks),
        ("conversions", policy.conversions, seen.conversions),
    ):
        if rule is not None:
            found = _rate(name, rate, rule, policy, index)
            if stale:
                found = _unbelieved(found, f"the newest request of the log is {seen.age_seconds:.0f} s old")
            yield found if split.verdict is Verdict.PASS else _unbelieved(found, "not believed beside such a split")


def _unbelieved(found: Finding, reason: str) -> Finding:
    return Finding.open(found.measure, f"{found.reason}; {reason}", holds=found.holds)


def _allotted(seen: Allotted | Missing, policy: CanaryPolicy, *, weight: float) -> Finding:
    if isinstance(seen, Missing):
        return Finding.open("split", f"split: no evidence: {seen.reason}")
    if not (math.isfinite(seen.total) and 0 <= seen.canary <= seen.total and seen.total > 0):
        return Finding.open("split", f"split: expected some {seen.unit}; got {seen.canary:g} of {seen.total:g}")
    log_e = log_mixture(seen.canary, seen.total, a=1.0, b=1 / weight - 1) - log_chance(seen.canary, seen.total, weight)
    mismatch = log_e >= log_needed(policy.mismatch / len(policy.steps))
    told = (
        f"split: {seen.canary:g} of {seen.total:g} {seen.unit} ({seen.canary / seen.total:.2%}), expected {weight:.2%}"
    )
    # A broken split says nothing of the canary, so it is no FAIL.
    return Finding("split", Verdict.INCONCLUSIVE if mismatch else Verdict.PASS, told)


def _rate(name: str, seen: Rate | Missing, rule: RateRule, policy: CanaryPolicy, index: int) -> Finding:
    holds = bool(rule.limits)
    if isinstance(seen, Missing):
        return Finding.open(name, f"{name}: no evidence: {seen.reason}", holds=holds)
    if too_little := _too_little(seen, rule):
        return Finding.open(name, f"{name}: {too_little}", holds=holds)
    alarm = log_needed(rate_alarm(policy.false_alarm, name))
    ours, theirs, scale, shared = seen.canary.ratio, seen.stable.ratio, rule.tuned_for, seen.covariance
    failed = log_e_below(ours, theirs, times=1 - rule.tolerated, scale=scale, covariance=shared) >= alarm
    told = (
        f"{name}: canary {seen.canary.rate:.3%} of {seen.canary.impressions:g} impressions, stable "
        f"{seen.stable.rate:.3%} of {seen.stable.impressions:g}; change {seen.canary.rate / seen.stable.rate - 1:+.1%} "
        f"+- {_standard_error(seen):.1%}"
    )
    if not holds:
        return Finding.of(name, told, failed=failed, passed=not failed, holds=False)
    limit = rule.limits[index]
    cleared = log_e_above(ours, theirs, times=1 - limit, scale=scale, covariance=shared)
    passed = cleared >= log_needed(policy.false_pass)
    return Finding.of(name, f"{told}, limit {-limit:+.0%}", failed=failed, passed=passed)


def _too_little(seen: Rate, rule: RateRule) -> str | None:
    sums = (seen.canary, seen.stable)
    if not all(math.isfinite(value) for side in (*sums, seen.both) for value in vars(side).values()):
        return "expected finite sums"
    users = min(side.users for side in sums)
    if users < rule.min_users or min(side.b for side in sums) <= 0:
        return f"{users:g} of at least {rule.min_users} users of each variant so far"
    # A canary that nobody clicks never gets enough clicks: what it would have had by the stable's rate counts too.
    clicks = max(seen.canary.clicks, seen.canary.impressions * seen.stable.clicks / seen.stable.impressions)
    if clicks < rule.min_clicks or seen.stable.clicks < rule.min_clicks:
        return f"{seen.canary.clicks:g} clicks, stable {seen.stable.clicks:g}, of at least {rule.min_clicks} so far"
    return None


def _standard_error(seen: Rate) -> float:
    """Of the relative change, to first order."""
    ours, theirs = seen.canary.ratio, seen.stable.ratio
    return standard_error(ours, theirs, times=ours.value / theirs.value, covariance=seen.covariance) / theirs.value
