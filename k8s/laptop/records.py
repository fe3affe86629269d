"""What a rollout saw and decided, step by step, as plain data: the reports' content, kept beside its state."""

import math
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from feature_repo.core.workspace import read_json, write_json
from k8s.evidence.rates import Quality, Rate
from k8s.evidence.window import Missing, Window
from k8s.judgement.assess import CanaryEvidence, Evidence, ShadowEvidence
from k8s.laptop.callers import Tally
from k8s.rollout.rollout import Rollout
from k8s.rollout.states import State
from k8s.rollout.tick import Assessment, Ticked
from training.verdict import Verdict

VERDICTS = {State.PROMOTED: Verdict.PASS, State.ROLLED_BACK: Verdict.FAIL}


class Records:
    """One record for each step of each attempt, as it stood after its latest look. Written after every look."""

    def __init__(self, path: Path, rollout: Rollout) -> None:
        self._path = path
        self._kept: dict[str, dict[str, Any]] = {}
        if path.exists() and (held := read_json(path, made_by="make canary")).get("name") == rollout.name:
            self._kept = dict(held["steps"])

    def looked(self, done: Ticked[Evidence], tally: Tally, *, now: datetime) -> dict[str, Any] | None:
        """Keep what a tick saw; None for a look that was not at a step."""
        if done.seen is None or done.assessment is None or done.before.state is State.PENDING:
            return None
        before = done.before
        key = f"{before.attempt}/{before.state}/{before.index}"
        record = _record(before, done.seen.evidence, done.assessment, tally)
        record["looks"] = self._kept.get(key, {}).get("looks", 0) + 1
        record["seconds"] = round((now - before.entered_at) / timedelta(seconds=1), 1)
        self._kept[key] = record
        write_json(self._path, {"name": before.name, "steps": self._kept})
        return record

    def steps(self, rollout: Rollout, state: State) -> list[dict[str, Any]]:
        """The records of the latest attempt, in the order of its steps."""
        return [record for key, record in self._kept.items() if key.startswith(f"{rollout.attempt}/{state}/")]


def _record(rollout: Rollout, evidence: Evidence, assessment: Assessment, tally: Tally) -> dict[str, Any]:
    record = {
        "weight": rollout.weight,
        "requests": tally.requests,
        "failed": tally.failed,
        "verdict": assessment.verdict.value,
        "reasons": list(assessment.reasons),
        "hit_rate": {"stable": tally.hit_rate("stable"), "canary": tally.hit_rate("canary"), "label": "replay"},
    }
    if isinstance(evidence, CanaryEvidence | ShadowEvidence):
        operations = evidence.operations
        record["stable"] = {**_window(operations.stable), "window": "this step"}
        record["canary"] = {**_window(operations.canary), "window": "this step"}
    if isinstance(evidence, ShadowEvidence):
        pairs = evidence.pairs
        record["pairs"] = {"missing": pairs.reason} if isinstance(pairs, Missing) else asdict(pairs)
    if isinstance(evidence, CanaryEvidence) and evidence.quality:
        record["quality"] = _quality(evidence.quality)
    return record


def _window(window: Window | Missing) -> dict[str, Any]:
    if isinstance(window, Missing):
        nothing = dict.fromkeys(("requests", "errors", "degraded", "p50_ms", "p99_ms"))
        return {**nothing, "missing": window.reason}
    return {
        "requests": int(window.requests),
        "errors": int(window.errors),
        "degraded": int(window.degraded),
        "p50_ms": _milliseconds(window, 0.50),
        "p99_ms": _milliseconds(window, 0.99),
    }


def _milliseconds(window: Window, share: float) -> float | None:
    """A quantile; null where the histogram does not resolve it, since JSON knows no infinity."""
    value = window.latencies.quantile(share)
    return round(value, 2) if math.isfinite(value) else None


def _quality(seen: Quality) -> dict[str, Any]:
    told: dict[str, Any] = {"sticky_share": seen.sticky_share}
    for name, rate in (("clicks", seen.clicks), ("conversions", seen.conversions)):
        told[name] = {"missing": rate.reason} if isinstance(rate, Missing) else _rate(rate)
    if not isinstance(seen.allotted, Missing):
        told["split"] = asdict(seen.allotted)
    if seen.lists:
        told["lists"] = {"canary": asdict(seen.lists[0]), "stable": asdict(seen.lists[1])}
    return told


def _rate(rate: Rate) -> dict[str, Any]:
    """Counts are not weighted, rates are."""
    return {
        name: {
            "users": int(sums.users),
            "impressions": int(sums.impressions),
            "hits": int(sums.clicks),
            "rate": sums.rate if sums.b > 0 else None,
        }
        for name, sums in (("stable", rate.stable), ("canary", rate.canary))
    }
