"""What the log says about a target policy: every estimator beside the logged policy's own clicks. Pure."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa

from feature_repo.core.errors import NotMeasurable
from monitoring.experiments.estimates import Estimate, ratio
from monitoring.experiments.impressions import Joined
from monitoring.experiments.offpolicy.estimators import TAKEN_FOR_GRANTED, Logged, estimate, sum_by_user
from monitoring.experiments.offpolicy.support import OffPolicyPolicy, unsupported
from monitoring.experiments.offpolicy.target import against
from training.verdict import Verdict

DECIDES = "doubly robust"


def judge_target(
    name: str, joined: Joined, target: pa.Table, policy: OffPolicyPolicy, *, now: datetime
) -> dict[str, Any]:
    """The report. PASS: the doubly robust gain over what was served is above zero; FAIL: below; else INCONCLUSIVE."""
    report = {
        "name": name,
        "made_at": now.isoformat(),
        "policy": policy.model_dump(),
        "requests_whose_window_is_not_over": joined.immature,
        "requests_logged_again": joined.duplicated,
    }
    try:
        logged = against(joined.impressions, target)
        doubts = unsupported(logged, policy)
    except NotMeasurable as error:
        return {**report, **_answer(Verdict.INCONCLUSIVE, [str(error)]), "requests": 0, "users": 0, "values": []}
    sizes = {"requests": logged.weights.shape[0], "users": int(logged.user.max()) + 1}
    if doubts:
        return {**report, **sizes, **_answer(Verdict.INCONCLUSIVE, doubts), "values": []}
    gain = gain_over_logged(logged)
    return {
        **report,
        **sizes,
        **_answer(*_verdict(gain, policy.alpha)),
        "served": _told(served(logged), policy.alpha),
        "gain": _told(gain, policy.alpha),
        "values": [_value(each, logged, policy.alpha) for each in TAKEN_FOR_GRANTED],
    }


def served(logged: Logged) -> Estimate:
    """Clicks a request of the policy that served."""
    even = Logged(np.ones_like(logged.weights), logged.rewards, logged.user, logged.shown, logged.expected)
    return estimate("ips", even).estimate


def gain_over_logged(logged: Logged) -> Estimate:
    """The target's clicks a request, doubly robust, minus the served ones, on the same requests."""
    slate, clicks = logged.weights.prod(axis=-1), logged.rewards.sum(axis=-1)
    target = logged.expected.sum(axis=-1) + slate * (clicks - logged.shown.sum(axis=-1))
    gained = target - clicks
    return ratio(sum_by_user(gained, logged.user), sum_by_user(np.ones_like(gained), logged.user))


def _verdict(gain: Estimate, alpha: float) -> tuple[Verdict, list[str]]:
    low, high = (float(end) for end in gain.interval(alpha))
    told = (
        f"the target earns {float(gain.value):+.4f} clicks a request ({low:+.4f} to {high:+.4f}) over what was served"
    )
    if low > 0:
        return Verdict.PASS, [told]
    return (Verdict.FAIL, [told]) if high < 0 else (Verdict.INCONCLUSIVE, [f"{told}: not decided"])


def _answer(verdict: Verdict, reasons: list[str]) -> Mapping[str, Any]:
    return {"verdict": verdict.value, "reasons": reasons}


def _value(name: str, logged: Logged, alpha: float) -> dict[str, Any]:
    found = estimate(name, logged)
    effective = float(found.effective)
    told = {"effective": effective, "takes_for_granted": TAKEN_FOR_GRANTED[name]}
    return {"estimator": name, **_told(found.estimate, alpha), **told}


def _told(found: Estimate, alpha: float) -> dict[str, float]:
    low, high = found.interval(alpha)
    return {"value": float(found.value), "low": float(low), "high": float(high)}
