"""A window to a report: figures by group and over time, guardrails, one verdict. Pure but for `rng`."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import numpy as np

from monitoring.fairness.groups import DAY_US, HEAD, NEW, TAIL, sizes
from monitoring.fairness.guardrails import GINI, WHOLE, Judged, Rule, overall, slacks, verdict_of
from monitoring.fairness.measures import (
    DIVERSITY,
    OVERLAP,
    SHARES,
    exposure_by_user,
    gini_rows,
    lorenz,
    measures,
    time_bins,
    within_user,
)
from monitoring.fairness.policy import FairnessPolicy
from monitoring.fairness.resampling import Estimator, Limits, Ratio, limits, mean_of, ratios, resampled
from monitoring.fairness.window import FairnessWindow

Array = np.ndarray[Any, Any]
Found = Mapping[str, Mapping[str, Array]]
Key = tuple[str, ...]

WEEK_US = 7 * DAY_US
OVER_TIME = (DIVERSITY, OVERLAP, *SHARES.values())


def assess_fairness(window: FairnessWindow, policy: FairnessPolicy) -> dict[str, Any]:
    """Everything that fairness.json says but for who made it when; the first version is the champion."""
    if window.users < policy.least_users:
        few = f"the window has {window.users} users; the policy asks for at least {policy.least_users}"
        return {**empty_report(few, policy), "users": window.users, "requests": len(window.user)}
    found = measures(window)
    versions = tuple(found)
    shown = _figures(window, found, policy)
    rules = slacks(window, found[versions[0]], found[versions[1]], policy) if len(versions) > 1 else []
    exposures = {
        v: exposure_by_user(s, window.user, window.users, len(window.item_group)) for v, s in window.shown.items()
    }
    estimators = [ratios([*shown.values(), *(slack for _, slack in rules)]), _ginis(exposures, policy.gini_rise)]
    rng = np.random.default_rng(policy.seed)
    values, replicates = resampled(estimators, window.users, resamples=policy.resamples, rng=rng)
    figures = dict(zip(shown, limits(values[: len(shown)], replicates[:, : len(shown)]), strict=True))
    after = len(shown) + len(rules)
    for place, version in enumerate(versions, after):
        figures["whole", WHOLE, WHOLE, version, GINI] = limits(values[[place]], replicates[:, [place]])[0]
    guards = [rule for rule, _ in rules]
    places = list(range(len(shown), after))
    if rules:
        guards.append(Rule(GINI, WHOLE, WHOLE, f"a rise of at most {policy.gini_rise:g}"))
        places.append(after + len(versions))
    slack_of = limits(values[places], replicates[:, places]) if guards else []
    judgements = [_judged(rule, slack, figures, versions) for rule, slack in zip(guards, slack_of, strict=True)]
    missing = () if rules else ("there is no challenger to compare with the champion",)
    verdict, reasons = overall(judgements, missing)
    return {
        "verdict": str(verdict),
        "reasons": list(reasons),
        "policy": policy.model_dump(),
        "users": window.users,
        "requests": len(window.user),
        "guardrails": [_guardrail(one) for one in judgements],
        "groups": [_row(key, of) for key, of in figures.items() if key[0] == "group"],
        "sizes": {grouping.attribute: sizes(grouping, window.user) for grouping in window.groupings},
        "merged": {grouping.attribute: grouping.merged for grouping in window.groupings if grouping.merged},
        "not_judged": _not_judged(window, policy),
        "whole": [_row(key, of) for key, of in figures.items() if key[0] == "whole"],
        "over_time": [_row(key, of) for key, of in figures.items() if key[0] == "time"],
        "items": {group: int((window.item_group == group).sum()) for group in (HEAD, TAIL, NEW)},
        "lorenz": {v: [list(axis) for axis in lorenz(np.asarray(e.sum(axis=0)))] for v, e in exposures.items()},
    }


def empty_report(reason: str, policy: FairnessPolicy) -> dict[str, Any]:
    """What is said of a window that could not be judged at all."""
    empty: dict[str, Any] = {name: [] for name in ("guardrails", "groups", "whole", "over_time", "not_judged")}
    empty |= {name: {} for name in ("sizes", "merged", "items", "lorenz")}
    return {"verdict": "INCONCLUSIVE", "reasons": [reason], "policy": policy.model_dump(), **empty}


def _figures(window: FairnessWindow, found: Found, policy: FairnessPolicy) -> dict[Key, Ratio]:
    """Means by (kind, attribute or moment, group, version, measure)."""
    user, users = window.user, window.users
    figures: dict[Key, Ratio] = {}
    bins, starts = time_bins(window.moments_us, policy.bins)
    people = [len(np.unique(user[bins == place])) for place in range(policy.bins)]
    for version, values in found.items():
        for name, of in values.items():
            figures["whole", WHOLE, WHOLE, version, name] = mean_of(of, user, users)
            for grouping in window.groupings:
                for group in grouping.groups:
                    mean = mean_of(of, user, users, chosen=grouping.labels == group)
                    figures["group", grouping.attribute, group, version, name] = mean
            for place, start in enumerate(starts.tolist()):
                # A part of the window with few users would speak of single people.
                if name in OVER_TIME and people[place] >= policy.least_users:
                    at = datetime.fromtimestamp(start / 1e6, UTC).isoformat()
                    figures["time", at, WHOLE, version, name] = mean_of(of, user, users, chosen=bins == place)
        if OVERLAP in values:
            figures["whole", WHOLE, WHOLE, version, "overlap per week"] = _trend(window, values[OVERLAP])
    return figures


def _trend(window: FairnessWindow, values: Array) -> Ratio:
    """Slope of `values` [r] over weeks within users (fixed effects): above 0, people's slates grow more of the same."""
    weeks = np.where(np.isnan(values), np.nan, window.moments_us / WEEK_US)
    across, up = (within_user(of, window.user, window.users) for of in (weeks, values))
    known = ~np.isnan(up)
    sums = [
        np.bincount(window.user[known], weights=(across * of)[known], minlength=window.users) for of in (up, across)
    ]
    return Ratio(*sums)


def _ginis(exposures: Mapping[str, Any], rise: float) -> Estimator:
    """The Gini index of exposure of each version, and of two also the slack of its rise."""

    def estimate(weights: Array) -> Array:
        found = [gini_rows(np.asarray(weights @ exposure)) for exposure in exposures.values()]
        if len(found) > 1:
            found.append(rise - (found[1] - found[0]))
        return np.stack(found, axis=1)

    return estimate


def _judged(rule: Rule, slack: Limits, figures: Mapping[Key, Limits], versions: tuple[str, ...]) -> Judged:
    kind = "whole" if rule.attribute == WHOLE else "group"
    champion, challenger = (figures[kind, rule.attribute, rule.group, v, rule.measure].value for v in versions)
    return Judged(rule, slack, verdict_of(slack), champion, challenger)


def _not_judged(window: FairnessWindow, policy: FairnessPolicy) -> list[str]:
    said = [f"{name}: no two groups of {policy.least_users} users" for name in window.not_judged]
    if window.vectors is None:
        said.append(f"{DIVERSITY} and {OVERLAP}: the data set declares no categories of items")
    return said


def _guardrail(one: Judged) -> dict[str, Any]:
    values = {"champion": _number(one.champion), "challenger": _number(one.challenger), "slack": _numbers(one.slack)}
    return {**asdict(one.rule), **values, "verdict": str(one.verdict), "sentence": one.sentence}


def _row(key: Key, found: Limits) -> dict[str, Any]:
    _, attribute, group, version, measure = key
    named = {"attribute": attribute, "group": group, "version": version, "measure": measure}
    return {**named, **{name: _number(getattr(found, name)) for name in ("value", "low", "high")}}


def _numbers(found: Limits) -> dict[str, float | None]:
    return {name: _number(value) for name, value in asdict(found).items()}


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
