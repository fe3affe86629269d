"""canary.json: what a rollout saw and decided, as plain data."""

import math
from typing import Any

from k8s.conduct import Outcome, StepRecord
from k8s.evidence import Missing, Window
from k8s.release import Versions


def report_of(versions: Versions, outcome: Outcome) -> dict[str, Any]:
    """The report of a rollout. `hit_rate` is labelled: a replayed click does not depend on the slate."""
    return {
        "champion": versions.champion,
        "challenger": versions.challenger,
        "end_state": outcome.state.value,
        "reasons": list(outcome.reasons),
        "steps": [_step(record) for record in outcome.steps],
    }


def _step(record: StepRecord) -> dict[str, Any]:
    evidence = record.observation.evidence
    return {
        "weight": record.weight,
        "requests": record.tally.requests,
        "failed": record.tally.failed,
        "looks": record.looks,
        "seconds": round(record.seconds, 1),
        "verdict": record.assessment.verdict.value,
        "reasons": list(record.assessment.reasons),
        "stable": {
            **_window(evidence.stable),
            "window": "earlier steps" if record.weight == 100 else "this step",
        },
        "canary": {**_window(evidence.canary), "window": "this step"},
        "hit_rate": {
            "stable": record.tally.hit_rate("stable"),
            "canary": record.tally.hit_rate("canary"),
            "label": "replay",
        },
    }


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
