"""The judgement of saturation: CPU time a request of the canary's pods, in times of the stable's.

FAIL when the ratio is shown to be above what is tolerated, PASS when it is shown to be below the limit. The canary is
given its idle time, the stable is not: with much traffic that is nothing, with little the question becomes coarse.
"""

import math

from k8s.evidence.cpu import Cpu
from k8s.evidence.window import Missing
from k8s.judgement.alarm import log_needed
from k8s.judgement.finding import Finding
from k8s.judgement.two_ratios import log_e_above, log_e_below
from k8s.policy.rules import SaturationRule

NAME = "saturation"
# The excess that the sequential test is tuned for, as a share of the stable's CPU time a request: between the default
# policy's tolerated and limit, or twice.
TUNED_FOR = 0.5


def judge_saturation(seen: Cpu | Missing, rule: SaturationRule, *, false_alarm: float, false_pass: float) -> Finding:
    """One finding; `false_alarm` is the level of this step."""
    holds = rule.limit is not None
    if isinstance(seen, Missing):
        return Finding.open(NAME, f"{NAME}: no evidence: {seen.reason}", holds=holds)
    ours, theirs = seen.canary.a_request(idle=rule.idle), seen.stable.a_request()
    if not all(math.isfinite(value) for side in (ours, theirs) for value in vars(side).values()):
        return Finding.open(NAME, f"{NAME}: expected finite sums", holds=holds)
    if (looks := min(ours.units, theirs.units)) < rule.min_looks:
        return Finding.open(NAME, f"{NAME}: {looks:g} of at least {rule.min_looks} looks so far", holds=holds)
    if min(ours.b, theirs.b, theirs.a) <= 0:
        return Finding.open(NAME, f"{NAME}: no requests or no CPU time so far", holds=holds)
    failed = log_e_above(ours, theirs, times=rule.tolerated, scale=TUNED_FOR) >= log_needed(false_alarm)
    whole, busy, known = (1000 * value for value in (seen.canary.a_request().value, max(ours.value, 0), theirs.value))
    told = (
        f"{NAME}: canary {whole:.2f} ms of CPU a request, {busy:.2f} beside {rule.idle:.0%} idle, "
        f"stable {known:.2f} ms; tolerated {rule.tolerated:g} x"
    )
    if rule.limit is None:
        return Finding.of(NAME, told, failed=failed, passed=not failed, holds=False)
    passed = log_e_below(ours, theirs, times=rule.limit, scale=TUNED_FOR) >= log_needed(false_pass)
    return Finding.of(NAME, f"{told}, limit {rule.limit:g} x", failed=failed, passed=passed)
