"""The judgement of a shadow's answers, list by list. A challenger is meant to differ, so only the absurd fails."""

from collections.abc import Iterator

from k8s.evidence.pairs import Pairs
from k8s.evidence.window import Missing
from k8s.judgement.finding import Finding
from k8s.policy.rules import ShadowPolicy


def judge_pairs(seen: Pairs | Missing, policy: ShadowPolicy) -> Iterator[Finding]:
    """Were mirrored requests answered, and do the lists have anything in common?"""
    if isinstance(seen, Missing):
        yield Finding.open("shadow", f"shadow: no evidence: {seen.reason}")
        return
    if seen.mirrored < policy.min_pairs:
        yield Finding.open("shadow", f"shadow: {seen.mirrored} of at least {policy.min_pairs} mirrored requests so far")
        return
    unanswered = 1 - seen.answered / seen.mirrored
    told = f"shadow: {seen.answered} of {seen.mirrored} mirrored requests answered"
    # Lost copies may be the gateway's doing, so they leave the question open; errors of the canary's own are counted
    # among its operations.
    yield Finding.of("shadow answers", told, failed=False, passed=unanswered <= policy.max_unanswered)
    if not seen.answered:
        return
    told = (
        f"shadow: the slates share {seen.overlap:.1%} of their items, {seen.same_first:.1%} the first; "
        f"at least {policy.min_overlap:.1%} must be shared"
    )
    alike = seen.overlap >= policy.min_overlap
    yield Finding.of("shadow overlap", told, failed=not alike, passed=alike)
