"""Guardrails of fairness where the truth is known: false alarms, misses, and what their intervals cover.

The world is that of tests/fair_window.py: users with a level of their own, so that requests of one user move together,
and a challenger that keeps a stated share of the champion's hits in one group.
"""

from collections import Counter
from typing import Any

import numpy as np
from fair_window import fair_window

from bench.monitoring_shares import share_row
from bench.rows import Row
from feature_repo.core.workspace import Workspace
from monitoring.fairness.guardrails import Judged, overall, slacks, verdict_of
from monitoring.fairness.measures import measures
from monitoring.fairness.policy import FairnessPolicy
from monitoring.fairness.resampling import limits, mean_of, ratios, resampled
from monitoring.fairness.window import FairnessWindow
from training.evaluation.metrics import ndcg
from training.verdict import Verdict

Array = np.ndarray[Any, Any]

RUNS, COVERAGE_RUNS = 400, 2_000
USERS, GROUPS = 400, 8
# Of a challenger at the limit the share of hits is the share of NDCG: every hit is lost with the same chance.
LIMIT, HARM = 0.8, 0.5


def rows(_: Workspace) -> list[Row]:
    return fairness_rows()


def fairness_rows(seed: int = 29) -> list[Row]:
    rng = np.random.default_rng(seed)
    world = f"{USERS} users, {GROUPS} groups"
    equal, at_limit, harmed = (verdicts(rng, kept) for kept in (1.0, LIMIT, HARM))
    return [
        share_row(f"fairness, equal challenger FAIL, {world}", equal[Verdict.FAIL], RUNS, high=0.01),
        share_row(f"fairness, equal challenger PASS, {world}", equal[Verdict.PASS], RUNS, low=0.8),
        share_row(f"fairness, one group at {LIMIT:.0%} FAIL", at_limit[Verdict.FAIL], RUNS, high=0.05),
        share_row(f"fairness, one group at {LIMIT:.0%} PASS", at_limit[Verdict.PASS], RUNS, high=0.05),
        share_row(f"fairness, one group at {HARM:.0%} FAIL", harmed[Verdict.FAIL], RUNS, low=0.95),
        share_row(f"fairness, one group at {HARM:.0%} PASS", harmed[Verdict.PASS], RUNS, high=0.01),
        _coverage_row(rng),
    ]


def verdicts(rng: np.random.Generator, kept: float) -> Counter[Verdict]:
    """How often each verdict is given, where one group keeps `kept` of the champion's hits."""
    policy = FairnessPolicy(least_users=USERS // GROUPS)
    return Counter(_verdict(fair_window(rng, users=USERS, groups=GROUPS, kept=kept), policy) for _ in range(RUNS))


def _verdict(window: FairnessWindow, policy: FairnessPolicy) -> Verdict:
    """What the guardrails that are means over requests say; seeded anew for each window."""
    found = measures(window)
    rules = slacks(window, found["1"], found["2"], policy)
    rng = np.random.default_rng(window.shown["1"].hits.sum())
    drawn = resampled([ratios([slack for _, slack in rules])], window.users, resamples=policy.resamples, rng=rng)
    judgements = [
        Judged(rule, slack, verdict_of(slack), np.nan, np.nan)
        for (rule, _), slack in zip(rules, limits(*drawn), strict=True)
    ]
    return overall(judgements, ())[0]


def _coverage_row(rng: np.random.Generator) -> Row:
    """Our 95 % interval of one group's quality, beside the one of a mean of requests as if users were not."""
    large = fair_window(rng, users=100_000, groups=GROUPS, challenger=False)
    truth = float(ndcg(large.shown["1"].hits, large.shown["1"].relevant).mean())
    ours = by_request = 0
    for _ in range(COVERAGE_RUNS):
        window = fair_window(rng, users=USERS, groups=GROUPS, challenger=False)
        values = ndcg(window.shown["1"].hits, window.shown["1"].relevant)
        chosen = window.groupings[0].labels == "g0"
        mean = mean_of(values, window.user, window.users, chosen=chosen)
        [found] = limits(*resampled([ratios([mean])], window.users, resamples=1_000, rng=rng))
        ours += found.low <= truth <= found.high
        by_request += abs(found.value - truth) <= 1.96 * values[chosen].std() / np.sqrt(chosen.sum())
    beside = ("the same by request, as if users were not", 100 * float(by_request) / COVERAGE_RUNS)
    return share_row(
        "fairness, 95 % interval of a group's NDCG covers it", ours, COVERAGE_RUNS, low=0.92, beside=beside
    )
