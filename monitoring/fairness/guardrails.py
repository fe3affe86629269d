"""The guardrails: one slack each, at least zero where the challenger keeps within the policy. Pure.

A slack is a figure with limits, so a guardrail is judged as any other comparison is: PASS where its own lower limit is
not below zero, FAIL where it lies below zero even with the limits that hold for all guardrails together, and
INCONCLUSIVE between the two. All must hold to PASS, which needs no correction; that any one fails does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from monitoring.fairness.measures import DIVERSITY, OVERLAP, QUALITY, SHARES
from monitoring.fairness.policy import FairnessPolicy
from monitoring.fairness.resampling import Limits, Ratio, mean_of
from monitoring.fairness.window import FairnessWindow
from training.verdict import Verdict

Array = np.ndarray[Any, Any]

WHOLE = "everybody"
GINI = "gini"


@dataclass(frozen=True)
class Rule:
    """What is judged: `measure` of the `group` of an `attribute`; `rule` says in words what must hold."""

    measure: str
    attribute: str
    group: str
    rule: str

    @property
    def of(self) -> str:
        return self.measure if self.attribute == WHOLE else f"{self.measure} of {self.attribute}={self.group}"


@dataclass(frozen=True)
class Judged:
    """A rule with the slack that was found, and the measure of the champion and of the challenger."""

    rule: Rule
    slack: Limits
    verdict: Verdict
    champion: float
    challenger: float

    @property
    def sentence(self) -> str:
        beside = f"{self.challenger:.4f} beside the champion's {self.champion:.4f}"
        found = f"slack {self.slack.value:+.4f} [{self.slack.low:+.4f}, {self.slack.high:+.4f}]"
        worst = f", over all guardrails at most {self.slack.joint_high:+.4f}" if self.verdict is Verdict.FAIL else ""
        return f"{self.rule.of}: {beside}, {self.rule.rule} wanted; {found}{worst}"


def verdict_of(slack: Limits) -> Verdict:
    if not (np.isfinite(slack.low) and np.isfinite(slack.joint_high)):
        return Verdict.INCONCLUSIVE
    if slack.low >= 0:
        return Verdict.PASS
    return Verdict.FAIL if slack.joint_high < 0 else Verdict.INCONCLUSIVE


def overall(found: Sequence[Judged], missing: Sequence[str]) -> tuple[Verdict, tuple[str, ...]]:
    """The verdict and its reasons; `missing` names what there was too little evidence for."""
    broken = {verdict: [one for one in found if one.verdict is verdict] for verdict in Verdict}
    said = [f"{one.verdict} {one.sentence}" for one in (*broken[Verdict.FAIL], *broken[Verdict.INCONCLUSIVE])]
    held = f"{len(broken[Verdict.PASS])} of {len(found)} guardrails hold"
    if broken[Verdict.FAIL]:
        return Verdict.FAIL, (*said, *missing, held)
    if broken[Verdict.INCONCLUSIVE] or missing or not found:
        return Verdict.INCONCLUSIVE, (*said, *missing, held)
    return Verdict.PASS, (held,)


def share_slack(challenger: Array, champion: Array, least_share: float) -> Array:
    """Of each request [r]: what the challenger has above `least_share` of the champion's."""
    slack: Array = challenger - least_share * champion
    return slack


def slacks(
    window: FairnessWindow, champion: Mapping[str, Array], challenger: Mapping[str, Array], policy: FairnessPolicy
) -> list[tuple[Rule, Ratio]]:
    """Every guardrail that is a mean over requests: quality by group of users, exposure, diversity, overlap."""
    user, users, least = window.user, window.users, policy.least_share
    kept = f"at least {least:.0%} of the champion's"
    quality = share_slack(challenger[QUALITY], champion[QUALITY], least)
    found = [
        (
            Rule(QUALITY, grouping.attribute, group, kept),
            mean_of(quality, user, users, chosen=grouping.labels == group),
        )
        for grouping in window.groupings
        for group in grouping.groups
    ]
    for name in (*SHARES.values(), DIVERSITY):
        if name in champion:
            slack = share_slack(challenger[name], champion[name], least)
            found.append((Rule(name, WHOLE, WHOLE, kept), mean_of(slack, user, users)))
    if OVERLAP in champion:
        rise = policy.overlap_rise - (challenger[OVERLAP] - champion[OVERLAP])
        rule = Rule(OVERLAP, WHOLE, WHOLE, f"a rise of at most {policy.overlap_rise:g}")
        found.append((rule, mean_of(rise, user, users)))
    return found
