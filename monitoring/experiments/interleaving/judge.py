"""Which of two interleaved versions users prefer, by the clicks on the slates that both made. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa

from feature_repo.core.errors import NotMeasurable
from monitoring.experiments.impressions import Joined
from monitoring.experiments.interleaving.preference import Preference, preference
from monitoring.experiments.mismatch import mismatch
from monitoring.experiments.sequential import FEWEST_USERS
from training.verdict import Verdict

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Clicks:
    """Of each mixed request whose window is over: its user, as a number, the credit of its clicks, who picked first.

    `began` is -1 or 1, and 0 where both slates were the same. `firsts` are the versions that were mixed with.
    """

    user: Array
    credit: Array
    began: Array
    firsts: tuple[str, ...]


def clicks_of(joined: Joined, log: pa.Table, second: str) -> Clicks:
    """The clicks on what `log` (request_id, model_version, interleaved, teams) says was mixed with version `second`."""
    mixed = {row["request_id"]: row for row in log.to_pylist() if row["interleaved"] == second}
    user, credit, began = [], {}, []
    shown = joined.impressions.select(["request_id", "user_id", "position", "clicked"]).to_pylist()
    for row in shown:
        name = row["request_id"]
        if name not in mixed:
            continue
        teams = mixed[name]["teams"]
        if name not in credit:
            credit[name] = 0.0
            user.append(row["user_id"])
            began.append(next((team for team in teams if team), 0))
        credit[name] += row["clicked"] * teams[row["position"] - 1]
    numbers = np.unique(np.array(user, str), return_inverse=True)[1]
    firsts = tuple(sorted({row["model_version"] for row in mixed.values()}))
    return Clicks(numbers, np.array([*credit.values()]), np.array(began), firsts)


def judge(joined: Joined, log: pa.Table, second: str, *, alpha: float, now: datetime) -> dict[str, Any]:
    """The report. PASS: version `second` is preferred; FAIL: the one that it was mixed with; else INCONCLUSIVE."""
    clicks = clicks_of(joined, log, second)
    of_firsts = [row for row in log.to_pylist() if row["model_version"] in clicks.firsts]
    users = len(np.unique(clicks.user))
    report: dict[str, Any] = {
        "name": f"interleaving-{'-'.join(clicks.firsts) or 'none'}-{second}",
        "made_at": now.isoformat(),
        "first": list(clicks.firsts),
        "second": second,
        "alpha": alpha,
        "requests": len(clicks.credit),
        "users": users,
        "requests_of_one_version_alone": sum(row["interleaved"] is None for row in of_firsts),
        "requests_whose_window_is_not_over": joined.immature,
        "requests_logged_again": joined.duplicated,
        "found": None,
    }
    doubts = _doubts(clicks, second, users=users)
    if doubts:
        return {**report, "verdict": Verdict.INCONCLUSIVE.value, "reasons": doubts}
    try:
        found = preference(clicks.credit, clicks.user)
    except NotMeasurable as error:
        return {**report, "verdict": Verdict.INCONCLUSIVE.value, "reasons": [str(error)]}
    verdict = found.verdict(alpha)
    told = _told(found, clicks.firsts[0], second, alpha)
    return {**report, "verdict": verdict.value, "reasons": [told["sentence"]], "found": told}


def _doubts(clicks: Clicks, second: str, *, users: int) -> list[str]:
    """Why no preference would mean anything."""
    if not len(clicks.credit):
        return [f"no request whose window is over was mixed with version {second}"]
    found = []
    if len(clicks.firsts) > 1:
        found.append(f"version {second} was mixed with versions {', '.join(clicks.firsts)}: it is compared with one")
    if users < FEWEST_USERS:
        found.append(f"{users:,} of at least {FEWEST_USERS} users saw a mixed slate")
    began = {"first": int((clicks.began < 0).sum()), "second": int((clicks.began > 0).sum())}
    odd = mismatch(began, {"first": 0.5, "second": 0.5}) if sum(began.values()) else None
    return [*found, *([f"the coin was not fair, by who began: {odd}"] if odd else [])]


def _told(found: Preference, first: str, second: str, alpha: float) -> Mapping[str, Any]:
    value, (low, high) = float(found.credit.value), (float(end) for end in found.credit.interval(alpha))
    better = second if low > 0 else first
    preferred = "neither is surely preferred" if low <= 0 <= high else f"version {better} is preferred"
    return {
        "credit": value,
        "low": low,
        "high": high,
        "won_by_first": found.first,
        "won_by_second": found.second,
        "ties": found.ties,
        "sentence": f"{preferred}: credit a request {value:+.4f} ({low:+.4f} to {high:+.4f}), above zero for {second}",
    }
