"""The judgement of operations: errors, degraded answers, latency and saturation against the stable's same window.

- shares (errors, degraded): FAIL when the excess over the stable's share is shown to be more than what is tolerated,
PASS when it is shown to be less than the limit.
- p50 and the tail (p99): the bound is the stable's quantile times the ratio, at least the floor above it, and rounded
up to the next bound of the histogram. FAIL when more than 50 % or 1 % of the canary's requests are shown to take
longer, PASS when fewer are. That tests a quantile without a model of latency: W. J. Conover, Practical Nonparametric
Statistics, section 3.2. The stable's quantile is taken as known: its error is far smaller than the ratio.
- saturation: CPU time a request, see saturation.py.

Neither shown: INCONCLUSIVE. So is no data, NaN, a stale window, or too few requests.
"""

import math
from collections.abc import Iterator

from k8s.evidence.window import Missing, Operations, Window, flaw
from k8s.judgement.alarm import log_needed, operations_alarm
from k8s.judgement.finding import Finding
from k8s.judgement.mixture import log_chance, log_mixture
from k8s.judgement.saturation import judge_saturation
from k8s.judgement.two_shares import Count, log_e_above, log_e_below
from k8s.policy.rules import CanaryPolicy, ShareRule
from training.verdict import Verdict


def judge_operations(seen: Operations, policy: CanaryPolicy, *, index: int) -> Iterator[Finding]:
    """One finding a measure; one alone when there is nothing to measure."""
    canary, stable = seen.canary, seen.stable
    if isinstance(canary, Missing) or isinstance(stable, Missing):
        for name, side in (("canary", canary), ("stable", stable)):
            if isinstance(side, Missing):
                yield _open(f"{name}: no evidence: {side.reason}")
        return
    if reasons := _unusable(canary, stable, seen.age_seconds, policy):
        yield from map(_open, reasons)
        return
    yield _share("errors", canary.errors, stable.errors, (canary, stable), policy, policy.errors, index)
    yield _share("degraded", canary.degraded, stable.degraded, (canary, stable), policy, policy.degraded, index)
    for name, share in (("p50", 0.5), ("tail", policy.latency.tail)):
        yield _quantile(name, share, (canary, stable), policy, index)
    if policy.saturation is not None:
        level = operations_alarm(policy.false_alarm, "saturation", index)
        yield judge_saturation(seen.cpu, policy.saturation, false_alarm=level, false_pass=policy.false_pass)


def _open(reason: str) -> Finding:
    return Finding("operations", Verdict.INCONCLUSIVE, reason)


def _unusable(canary: Window, stable: Window, age: float, policy: CanaryPolicy) -> list[str]:
    reasons = [f"{name}: {broken}" for name, side in (("canary", canary), ("stable", stable)) if (broken := flaw(side))]
    if reasons:
        return reasons
    if not age <= policy.max_age:
        reasons.append(f"operations: the evidence is {age:.0f} s old, at most {policy.max_age:.0f} s count")
    reasons += [
        f"{name}: no requests yet" for name, side in (("canary", canary), ("stable", stable)) if not side.requests
    ]
    return reasons


def _share(
    name: str,
    ours: float,
    theirs: float,
    windows: tuple[Window, Window],
    policy: CanaryPolicy,
    rule: ShareRule,
    index: int,
) -> Finding:
    canary, stable = Count(ours, windows[0].requests), Count(theirs, windows[1].requests)
    alarm = log_e_above(canary, stable, margin=rule.tolerated)
    cleared = log_e_below(canary, stable, margin=rule.limit)
    told = (
        f"{name}: canary {ours:g} of {canary.total:g} ({canary.share:.2%}), stable {theirs:g} of {stable.total:g} "
        f"({stable.share:.2%}); tolerated {rule.tolerated:+.2%}, limit {rule.limit:+.2%}"
    )
    enough = canary.total >= policy.min_requests and stable.total >= policy.min_requests
    return Finding.of(
        name,
        told,
        failed=alarm >= log_needed(operations_alarm(policy.false_alarm, name, index)),
        passed=enough and cleared >= log_needed(policy.false_pass),
    )


def _quantile(measure: str, share: float, windows: tuple[Window, Window], policy: CanaryPolicy, index: int) -> Finding:
    canary, stable = windows
    name, fair = f"p{100 * share:g}", 1 - share
    ours, theirs = (window.latencies.quantile(share) for window in windows)
    if stable.latencies.total < policy.min_requests:
        return Finding.open(
            name, f"{name}: {stable.latencies.total:g} timed requests of the stable, too few to compare"
        )
    wanted = max(theirs * policy.latency.max_ratio, theirs + policy.latency.floor)
    bound = canary.latencies.bound_from(wanted)
    if not math.isfinite(bound) or not canary.latencies.total:
        return Finding.open(
            name, f"{name}: canary {ours:.1f} ms, stable {theirs:.1f} ms: the histogram does not resolve it"
        )
    slow, timed = canary.latencies.slower_than(bound), canary.latencies.total
    # Beta(1, q / (1 - q)), whose mean is the fair share.
    log_e = log_mixture(slow, timed, a=1.0, b=1 / fair - 1) - log_chance(slow, timed, fair)
    told = (
        f"{name}: canary {ours:.1f} ms, stable {theirs:.1f} ms; {slow:g} of {timed:g} beyond {bound:g} ms, "
        f"{fair:.0%} may be"
    )
    enough = timed >= policy.min_requests
    return Finding.of(
        name,
        told,
        failed=slow > fair * timed and log_e >= log_needed(operations_alarm(policy.false_alarm, measure, index)),
        passed=enough and slow < fair * timed and log_e >= log_needed(policy.false_pass),
    )
