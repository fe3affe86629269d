"""From the reports that were found to the evidence for exactly these two versions."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from training.promotion import reports
from training.promotion.evidence import Absent, Drift, Evidence, Report
from training.promotion.filed import Filed, Pair, fresh, of_pair, of_version, read_as

# Report -> the command that makes it.
REPORTS = {
    "evaluation": "make evaluate",
    "drift": "make drift",
    "latency": "python -m k8s latency",
    "fairness": "python -m monitoring fairness",
    "skew": "make skew",
    "shadow": "make canary",
    "canary": "make canary",
}


@dataclass(frozen=True)
class Trained:
    """What a version's manifest says of its training."""

    window_end: str
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Found:
    """Everything that was read, before it is judged. `fingerprint` is that of the present data."""

    reports: Mapping[str, Filed | Absent]
    champion: Trained
    challenger: Trained
    fingerprint: str | None


def gather(found: Found, pair: Pair, *, now: datetime, max_age_hours: float) -> Evidence:
    """The evidence: what is stale, or speaks of other versions or other data, is absent."""
    new = {name: fresh(report, now=now, hours=max_age_hours) for name, report in found.reports.items()}
    evaluation = _of_present_data(of_pair(new["evaluation"], pair), found.fingerprint)
    served = (pair.champion, pair.challenger)
    made = Filed("the challenger's manifest", found.challenger.metrics, now)
    return Evidence(
        quality=read_as(evaluation, reports.compared),
        retrievers=read_as(evaluation, reports.over_retrievers),
        coverage=read_as(evaluation, lambda content: reports.both(content, reports.COVERAGE)),
        novelty=read_as(evaluation, lambda content: reports.both(content, reports.NOVELTY)),
        segments=read_as(evaluation, reports.segments),
        index_recall=read_as(made, reports.index_recall),
        leaks=read_as(made, reports.leaks),
        drift=_drift(read_as(of_version(new["drift"], pair.champion), reports.told), found),
        latency=read_as(of_version(new["latency"], pair.challenger), reports.latency),
        # Either compares the two, or speaks of the challenger alone.
        fairness=read_as(of_version(new["fairness"], pair.challenger, pair.champion), reports.told),
        skew=read_as(of_version(new["skew"], *served), reports.told),
        shadow=read_as(of_pair(new["shadow"], pair), reports.told),
        canary=read_as(of_pair(new["canary"], pair), reports.ended),
    )


def _of_present_data(evaluation: Filed | Absent, fingerprint: str | None) -> Filed | Absent:
    """Evaluated on the newest window: on the data as they are now."""
    if isinstance(evaluation, Absent):
        return evaluation
    if fingerprint is None or evaluation.content.get("data_fingerprint") != fingerprint:
        return Absent(f"{evaluation.name} is about other data than data.json: run `make evaluate`")
    return evaluation


def _drift(report: Report | Absent, found: Found) -> Drift | Absent:
    if isinstance(report, Absent):
        return report
    return Drift(report, reports.hours_between(found.champion.window_end, found.challenger.window_end))
