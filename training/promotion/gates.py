"""The gates that weigh numbers. Each takes its evidence and its part of the policy, and says what it saw."""

from collections.abc import Mapping
from dataclasses import dataclass

from training.evaluation.bootstrap import Interval
from training.evaluation.compare import not_below
from training.promotion.evidence import Both, Compared, Drift, Latency, Leaks, Report, SegmentCompared
from training.promotion.policy import (
    Breadth,
    DriftGate,
    IndexRecall,
    LatencyGate,
    LeaksGate,
    Quality,
    Retrievers,
    SegmentsGate,
)
from training.verdict import Verdict


@dataclass(frozen=True)
class Opinion:
    """What one gate says."""

    verdict: Verdict
    reasons: tuple[str, ...]


def worst(verdicts: list[Verdict]) -> Verdict:
    """FAIL before INCONCLUSIVE before PASS; INCONCLUSIVE of nothing at all."""
    if not verdicts:
        return Verdict.INCONCLUSIVE
    return next(one for one in (Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.PASS) if one in verdicts)


def quality(found: Compared, rule: Quality) -> Opinion:
    margin = rule.max_loss * found.champion
    return _interval("NDCG@10 differs by", found.difference, margin, worse="worse than the champion")


def retrievers(found: Mapping[str, Interval], rule: Retrievers) -> Opinion:
    """Two stages that lose to one of their own retrievers are not worth serving, under any protocol."""
    opinions = [
        _interval(f"{name}: NDCG@10 over the best of its own", one, rule.max_loss, worse="worse than it")
        for name, one in found.items()
    ]
    return _all(opinions, nothing="no protocol compares the two stages with their retrievers")


def breadth(found: Both, rule: Breadth) -> Opinion:
    """Coverage, or novelty: not much less than the champion's."""
    least = rule.least * found.champion
    text = f"{found.challenger:.3f}, at least {least:.3f} wanted"
    return _opinion(found.challenger >= least, text)


def segments(found: tuple[SegmentCompared, ...], rule: SegmentsGate) -> Opinion:
    judged = [one for one in found if one.users >= rule.least_users]
    opinions = [
        _interval(f"{one.name} users: NDCG@10 differs by", one.difference, rule.max_loss * one.champion, worse="worse")
        for one in judged
    ]
    small = [f"{one.name} users: {one.users}, too few to judge" for one in found if one.users < rule.least_users]
    opinion = _all(opinions, nothing=f"no segment has {rule.least_users} users")
    return Opinion(opinion.verdict, (*opinion.reasons, *small))


def index_recall(found: float, rule: IndexRecall) -> Opinion:
    return _opinion(found >= rule.least, f"{found:.4f} of the exact neighbours, at least {rule.least:.4f} wanted")


def leaks(found: Leaks, rule: LeaksGate) -> Opinion:
    if found.found:
        return Opinion(Verdict.FAIL, (f"{found.found} values were known too early",))
    if found.rows < rule.least_rows:
        return Opinion(Verdict.INCONCLUSIVE, (f"{found.rows} rows compared, at least {rule.least_rows} wanted",))
    return Opinion(Verdict.PASS, (f"none in {found.rows} rows",))


def latency(found: Latency, rule: LatencyGate) -> Opinion:
    """A degraded answer is a cheap one, so it shows nothing."""
    if found.requests < rule.least_requests or found.degraded:
        text = f"{found.requests} requests, {found.degraded} of them degraded; {rule.least_requests} whole ones wanted"
        return Opinion(Verdict.INCONCLUSIVE, (text,))
    text = f"p50 {found.p50_ms:.1f} ms, p99 {found.p99_ms:.1f} ms; at most {rule.max_p50:g} and {rule.max_p99:g} wanted"
    return _opinion(found.p50_ms <= rule.max_p50 and found.p99_ms <= rule.max_p99, text)


def drift(found: Drift, rule: DriftGate) -> Opinion:
    """Drift speaks against the champion, not against a challenger that was trained on newer days."""
    report = found.report
    if report.verdict is not Verdict.FAIL:
        return told(report)
    newer = f"the challenger's window ends {found.newer_hours:.0f} hours later, at least {rule.newer_by:.0f} wanted"
    verdict = Verdict.PASS if found.newer_hours >= rule.newer_by else Verdict.FAIL
    return Opinion(verdict, (f"the champion's world has drifted; {newer}",))


def told(report: Report) -> Opinion:
    """What a report says of itself; the first of its reasons stand for all."""
    return Opinion(report.verdict, (f"{report.verdict}: {'; '.join(report.reasons[:3]) or 'no reason given'}",))


def _opinion(holds: bool, text: str) -> Opinion:
    return Opinion(Verdict.PASS if holds else Verdict.FAIL, (text,))


def _interval(what: str, found: Interval | None, margin: float, *, worse: str) -> Opinion:
    if found is None:
        return Opinion(Verdict.INCONCLUSIVE, (f"{what} what no interval is known of",))
    text = f"{what} {found.value:+.4f} [{found.low:+.4f}, {found.high:+.4f}]"
    verdict = not_below(found, margin)
    ends = {
        Verdict.PASS: f"not below -{margin:.4f}",
        Verdict.FAIL: worse,
        Verdict.INCONCLUSIVE: f"which reaches below -{margin:.4f}",
    }
    return Opinion(verdict, (f"{text}, {ends[verdict]}",))


def _all(opinions: list[Opinion], *, nothing: str) -> Opinion:
    reasons = tuple(reason for opinion in opinions for reason in opinion.reasons)
    return Opinion(worst([opinion.verdict for opinion in opinions]), reasons or (nothing,))
