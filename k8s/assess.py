"""The judgement of one step: `assess(evidence, policy)`, a pure function.

Each measure is held against its margin by one-sided confidence limits (see `k8s.statistics`):

- shares (errors, degraded answers): Newcombe's limits of canary minus stable. Above the margin even at its
lower limit: FAIL. Below the margin even at its upper limit: PASS. Otherwise more requests are needed:
INCONCLUSIVE.
- p99: the limit is the stable's p99 times the ratio, and never less than the floor above it. FAIL when more
than 1 % of the canary's requests exceed the limit by the exact binomial test; PASS when the canary's own p99
is within it.

One FAIL fails the step; else one INCONCLUSIVE leaves it open. No data, NaN, too few requests or a stale
stable window is INCONCLUSIVE. At weight 100 the stable answers nothing; it is then judged by its windows of
this rollout's earlier steps: same host, same replayed day, minutes ago. An absolute limit would be a number
from another machine. The step sees the same evidence again as it grows, so a margin is tested a few times:
true differences of nothing lie far from the margins, and what that costs a canary at a margin is left to the
sequential tests that will replace these limits.
"""

import math
from dataclasses import dataclass

from k8s.evidence import Missing, OperationsEvidence, Window, flaw
from k8s.policy import Policy
from k8s.statistics import chance_of_at_least, newcombe
from training.verdict import Verdict


@dataclass(frozen=True)
class Assessment:
    """A verdict and the sentences that carry it."""

    verdict: Verdict
    reasons: tuple[str, ...]


def assess(evidence: OperationsEvidence, policy: Policy) -> Assessment:
    """Judge a canary's step by its operations."""
    canary, stable = evidence.canary, evidence.stable
    if isinstance(canary, Missing) or isinstance(stable, Missing):
        return _open(*_missing(canary, "canary"), *_missing(stable, "stable"))
    if flaws := [
        *_flaws(canary, "canary"),
        *_flaws(stable, "stable"),
        *_too_little(evidence, canary, stable, policy),
    ]:
        return _open(*flaws)
    return _together(
        _share("errors", (canary.errors, stable.errors), (canary, stable), policy.max_error_share_excess, policy),
        _share(
            "degraded",
            (canary.degraded, stable.degraded),
            (canary, stable),
            policy.max_degraded_share_excess,
            policy,
        ),
        _p99(canary, stable, policy),
    )


def _open(*reasons: str) -> Assessment:
    return Assessment(Verdict.INCONCLUSIVE, reasons)


def _missing(window: Window | Missing, variant: str) -> list[str]:
    return [f"{variant}: no evidence: {window.reason}"] if isinstance(window, Missing) else []


def _flaws(window: Window, variant: str) -> list[str]:
    broken = flaw(window)
    return [f"{variant}: {broken}"] if broken else []


def _too_little(evidence: OperationsEvidence, canary: Window, stable: Window, policy: Policy) -> list[str]:
    reasons = []
    if canary.requests < policy.min_canary_requests:
        reasons.append(f"canary: {canary.requests:g} of at least {policy.min_canary_requests} requests so far")
    if stable.requests < 1:
        reasons.append("stable: no requests to compare with")
    if not evidence.stable_age_seconds <= policy.max_stable_age_seconds:
        age, most = evidence.stable_age_seconds, policy.max_stable_age_seconds
        reasons.append(f"stable: its evidence is {age:.0f} s old, at most {most:.0f} s count")
    return reasons


def _share(
    name: str,
    hits: tuple[float, float],
    windows: tuple[Window, Window],
    margin: float,
    policy: Policy,
) -> Assessment:
    canary, stable = windows
    limits = newcombe((hits[0], canary.requests), (hits[1], stable.requests), confidence=policy.confidence)
    told = (
        f"{name}: canary {hits[0]:g} of {canary.requests:g}, stable {hits[1]:g} of {stable.requests:g}; "
        f"difference between {limits.low:+.2%} and {limits.high:+.2%}, margin {margin:+.2%}"
    )
    if limits.low > margin:
        return Assessment(Verdict.FAIL, (told,))
    return Assessment(Verdict.PASS if limits.high <= margin else Verdict.INCONCLUSIVE, (told,))


def _p99(canary: Window, stable: Window, policy: Policy) -> Assessment:
    ours, theirs = canary.latencies.quantile(0.99), stable.latencies.quantile(0.99)
    if not math.isfinite(theirs) or math.isnan(ours):
        return _open(f"p99: canary {ours:.1f} ms, stable {theirs:.1f} ms: the histogram does not resolve it")
    limit = max(theirs * policy.max_p99_ratio, theirs + policy.p99_floor_ms)
    slow, timed = canary.latencies.slower_than(limit), canary.latencies.total
    chance = chance_of_at_least(slow, timed, share=0.01)
    told = (
        f"p99: canary {ours:.1f} ms, stable {theirs:.1f} ms, limit {limit:.1f} ms; "
        f"{math.floor(slow)} of {timed:.0f} beyond it, p-value {chance:.4f}"
    )
    if chance < 1 - policy.confidence:
        return Assessment(Verdict.FAIL, (told,))
    return Assessment(Verdict.PASS if ours <= limit else Verdict.INCONCLUSIVE, (told,))


def _together(*parts: Assessment) -> Assessment:
    verdicts = {part.verdict for part in parts}
    reasons = tuple(f"{reason} ({part.verdict})" for part in parts for reason in part.reasons)
    for decisive in (Verdict.FAIL, Verdict.INCONCLUSIVE):
        if decisive in verdicts:
            return Assessment(decisive, reasons)
    return Assessment(Verdict.PASS, reasons)
