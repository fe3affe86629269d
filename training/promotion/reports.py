"""From a report's content to evidence. A number that is missing or not finite raises; `read_as` makes that Absent."""

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from training.evaluation.bootstrap import Interval
from training.promotion.evidence import Both, Compared, Latency, Leaks, Report, SegmentCompared
from training.verdict import Verdict

TWO_STAGE, DECIDES, COVERAGE, NOVELTY = "two-stage", "ndcg@10", "coverage", "novelty@10"
END_STATES = {"PROMOTED": Verdict.PASS, "ROLLED_BACK": Verdict.FAIL}

Content = Mapping[str, Any]


def compared(evaluation: Content) -> Compared:
    """The paired comparison on the held-out window."""
    return Compared(_metric(evaluation, evaluation["champion"], DECIDES), _interval(evaluation["comparison"]))


def over_retrievers(evaluation: Content) -> dict[str, Interval]:
    """By protocol, the challenger's two stages less its best retriever alone."""
    challenger = str(evaluation["challenger"])
    rows = [row for row in evaluation["over_retrievers"] if str(row["version"]) == challenger]
    return {row["protocol"]: _interval(row) for row in rows}


def both(evaluation: Content, metric: str) -> Both:
    """One metric of both versions' two stages."""
    return Both(*(_metric(evaluation, evaluation[name], metric) for name in ("champion", "challenger")))


def segments(evaluation: Content) -> tuple[SegmentCompared, ...]:
    return tuple(
        SegmentCompared(
            row["segment"],
            int(row["users"]),
            _finite(row["champion"]),
            None if row["low"] is None else _interval(row),
        )
        for row in evaluation["segments"]
    )


def latency(content: Content) -> Latency:
    return Latency(
        int(content["requests"]), int(content["degraded"]), _finite(content["p50_ms"]), _finite(content["p99_ms"])
    )


def told(content: Content) -> Report:
    """A report's own verdict and reasons."""
    return Report(Verdict(content["verdict"]), tuple(map(str, content["reasons"])))


def ended(canary: Content) -> Report:
    """How a rollout ended; any other state than the two that decide is no decision."""
    state = str(canary["end_state"])
    reasons = tuple(map(str, canary.get("reasons", ())))
    return Report(END_STATES.get(state, Verdict.INCONCLUSIVE), (f"ended {state}", *reasons))


def index_recall(metrics: Mapping[str, float]) -> float:
    return _finite(metrics["index_recall"])


def leaks(metrics: Mapping[str, float]) -> Leaks:
    return Leaks(rows=int(metrics["leak_check_rows"]), found=int(metrics["leaks_found"]))


def hours_between(earlier: str, later: str) -> float:
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds() / 3_600


def _metric(evaluation: Content, version: object, metric: str) -> float:
    found = {(row["model"], str(row["version"]), row["metric"]): row["value"] for row in evaluation["metrics"]}
    return _finite(found[TWO_STAGE, str(version), metric])


def _interval(row: Content) -> Interval:
    return Interval(_finite(row["value"]), _finite(row["low"]), _finite(row["high"]))


def _finite(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"expected a finite number; got {value!r}")
    return number
