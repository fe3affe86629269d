"""What speaks for a new training: each signal has a verdict, and only FAIL, on fresh evidence, is a trigger.

A report that is missing, damaged, old, about another version, or from before the last training is INCONCLUSIVE: it says
nothing about the champion as it is.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from monitoring.retraining.policy import AGE, RetrainingPolicy
from training.verdict import Verdict


@dataclass(frozen=True)
class Signal:
    """`name` is one of the policy's triggers, `reason` one sentence."""

    name: str
    verdict: Verdict
    reason: str


def report_signal(
    name: str,
    report: Mapping[str, Any] | None,
    policy: RetrainingPolicy,
    *,
    champion: str,
    since: datetime | None,
    now: datetime,
) -> Signal:
    """The verdict of drift.json or skew.json, if it is about `champion`, and from after `since`, the last training."""
    if report is None:
        return _unclear(name, f"there is no report of {name} that can be read")
    about = str(report.get("version") or report.get("champion"))
    if about != champion:
        return _unclear(name, f"the report of {name} is about version {about}; the champion is {champion}")
    made_at = _moment(report.get("made_at"))
    if made_at is None or made_at > now:
        return _unclear(name, f"the report of {name} does not say when it was made")
    if now - made_at > timedelta(hours=policy.report_hours):
        return _unclear(name, f"the report of {name} is older than {policy.report_hours:g} hours")
    if since is not None and made_at <= since:
        return _unclear(name, f"the report of {name} is from before the last training")
    try:
        verdict = Verdict(str(report.get("verdict")))
    except ValueError:
        return _unclear(name, f"the report of {name} has no verdict; got {report.get('verdict')!r}")
    reasons = report.get("reasons") or ["it gives no reason"]
    return Signal(name, verdict, f"{name} {verdict.value}: {reasons[0]}")


def age_signal(registered_at: datetime | None, policy: RetrainingPolicy, *, now: datetime) -> Signal:
    """FAIL where the champion is older than the policy allows."""
    if registered_at is None or registered_at > now:
        return _unclear(AGE, "nobody knows when the champion was registered")
    days = (now - registered_at).total_seconds() / 86_400
    verdict = Verdict.FAIL if days > policy.champion_days else Verdict.PASS
    return Signal(AGE, verdict, f"the champion is {days:.1f} days old; at most {policy.champion_days:g} are allowed")


def _unclear(name: str, reason: str) -> Signal:
    return Signal(name, Verdict.INCONCLUSIVE, reason)


def _moment(text: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
