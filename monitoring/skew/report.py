"""skew.json: what was compared, what was left out and why, each feature's shares and lateness, the verdict."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from math import isfinite
from typing import Any

import numpy as np

from monitoring.skew.comparison import ITEM, USER
from monitoring.skew.measure import Measured
from monitoring.skew.served import NO_ROW, OTHER_FEATURES, Opened
from monitoring.skew.settings import SkewPolicy
from monitoring.skew.verdict import Assessment, FeatureSkew, Share, assess
from training.verdict import Verdict

Array = np.ndarray[Any, Any]

AHEAD = "about a moment that the stores had passed"
# Left out although something should have been there to compare: too many of them, and nobody knows what was served.
UNEXPECTED = (NO_ROW, OTHER_FEATURES, AHEAD)


def report_of(
    opened: Opened | None,
    measured: Measured | None,
    policy: SkewPolicy,
    *,
    left_out: Mapping[str, int],
    findings: Sequence[str],
    version: str,
    now: datetime,
    covered: datetime | None = None,
) -> dict[str, Any]:
    """The report as JSON. `opened` is None where the log could not be read, `measured` where nothing was compared.

    `covered` is the moment before which the stores say that they hold every event.
    """
    reasons = {**(opened.left_out if opened else {}), **left_out, AHEAD: measured.ahead if measured else 0}
    reasons = {reason: count for reason, count in reasons.items() if count}
    unexpected = {reason: count for reason, count in reasons.items() if reason in (*UNEXPECTED, *left_out)}
    requests = measured.requests if measured else 0
    features = measured.features if measured else ()
    assessment = assess(features, policy, requests=requests, unknown=unexpected, findings=findings)
    if not requests and not findings:
        assessment = Assessment(Verdict.INCONCLUSIVE, (_nothing(opened, reasons, version),))
    return {
        "verdict": assessment.verdict.value,
        "reasons": [*assessment.reasons, *_elsewhere(measured, covered)],
        "version": version,
        "made_at": now.isoformat(),
        "threshold": policy.threshold,
        "policy": policy.model_dump(),
        "logged": opened.logged if opened else None,
        "requests": requests,
        "about_another_time": measured.elsewhere if measured else 0,
        "stores_until": covered.isoformat() if covered else None,
        "left_out": reasons,
        "features": [_feature(feature) for feature in features],
        "lateness": _lateness(measured),
        "not_compared": list(measured.not_compared) if measured else [],
    }


def _nothing(opened: Opened | None, reasons: Mapping[str, int], version: str) -> str:
    logged = opened.logged if opened else 0
    if not logged:
        return "the request log is empty: serve the version, and come back"
    named = ", ".join(f"{count} {reason}" for reason, count in reasons.items())
    return f"none of {logged:,} logged requests can be compared for version {version}: {named}"


def _elsewhere(measured: Measured | None, covered: datetime | None) -> list[str]:
    if measured is None or covered is None or not measured.elsewhere:
        return []
    return [
        f"{measured.elsewhere:,} requests ask about another time than that of their arrival: how far behind the stores "
        f"were is judged by what they say they hold, all events before {covered:%Y-%m-%d %H:%M:%S}"
    ]


def _feature(feature: FeatureSkew) -> dict[str, Any]:
    return {
        "feature": feature.feature,
        "side": feature.side,
        **{name: _share(getattr(feature, name)) for name in ("differing", "wrong", "late")},
        "median_late_seconds": feature.median_late_seconds,
        "p99_late_seconds": feature.p99_late_seconds,
    }


def _share(share: Share) -> dict[str, Any]:
    return {**asdict(share), "share": share.value}


def _lateness(measured: Measured | None) -> dict[str, Any]:
    """How far behind the user rows and the item tables were, over all requests and over those that were behind."""
    if measured is None:
        return {}
    found = {name: _behind(measured.behind[side]) for name, side in (("user_rows", USER), ("item_tables", ITEM))}
    served, known = (age if isfinite(age) else None for age in measured.ages)
    found["user_rows"] |= {"median_age_served_seconds": served, "median_age_known_seconds": known}
    return found


def _behind(seconds: Array) -> dict[str, Any]:
    late = seconds[seconds > 0]
    quantiles = np.quantile(seconds, [0.5, 0.99]).tolist() if len(seconds) else [0.0, 0.0]
    return {
        "late_requests": len(late),
        "median_seconds": quantiles[0],
        "p99_seconds": quantiles[1],
        "median_seconds_of_late": float(np.median(late)) if len(late) else 0.0,
    }
