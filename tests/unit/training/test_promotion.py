from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.evaluation.bootstrap import Interval
from training.evaluation.segment_lift import segment_lift
from training.promotion import Evidence, PromotionPolicy, decide
from training.promotion.evidence import (
    Absent,
    Both,
    Compared,
    Drift,
    Latency,
    Leaks,
    Report,
    SegmentCompared,
)
from training.promotion.policy import Breadth, LatencyGate, Offline, Quality, SegmentsGate, Told
from training.verdict import Verdict

GOOD_REPORT = Report(Verdict.PASS, ("all is well",))
POLICY = PromotionPolicy(
    offline=Offline(
        quality=Quality(max_loss="10 %"),
        coverage=Breadth(least="80 %"),
        segments=SegmentsGate(max_loss="20 %", least_users=30),
        latency=LatencyGate(max_p50="10 ms", max_p99="0.05 s"),
        fairness=Told(),
        skew=Told(),
    ),
)
GOOD = Evidence(
    quality=Compared(0.10, Interval(0.004, -0.002, 0.010)),
    retrievers={"replay": Interval(0.004, -0.002, 0.010), "split": Interval(0.02, 0.01, 0.03)},
    coverage=Both(0.50, 0.45),
    novelty=Both(8.0, 7.5),
    segments=(SegmentCompared("new", 40, 0.1, Interval(0.0, -0.01, 0.01)), SegmentCompared("heavy", 3, 0.1, None)),
    index_recall=0.99,
    leaks=Leaks(rows=160, found=0),
    drift=Drift(GOOD_REPORT, newer_hours=48.0),
    latency=Latency(200, 0, 5.0, 20.0),
    fairness=GOOD_REPORT,
    skew=GOOD_REPORT,
    shadow=GOOD_REPORT,
    canary=Report(Verdict.PASS, ("ended PROMOTED",)),
)


def test_a_challenger_that_passes_every_gate_passes() -> None:
    decision = decide(GOOD, POLICY)

    assert decision.verdict is Verdict.PASS
    assert [gate.name for gate in decision.gates] == [field.name for field in fields(Evidence)]


BAD_DRIFT = Report(Verdict.FAIL, ("the world has changed",))


@pytest.mark.parametrize(
    ("change", "verdict", "reason"),
    [
        (
            {"quality": Compared(0.1, Interval(-0.02, -0.03, -0.01))},
            Verdict.FAIL,
            "quality: NDCG@10 differs by -0.0200 [-0.0300, -0.0100], worse than the champion",
        ),
        (
            {"quality": Compared(0.1, Interval(-0.005, -0.02, 0.01))},
            Verdict.INCONCLUSIVE,
            "quality: NDCG@10 differs by -0.0050 [-0.0200, +0.0100], which reaches below -0.0100",
        ),
        (
            {"quality": Compared(0.1, Interval(-0.005, -0.009, -0.001))},
            Verdict.PASS,
            "quality: NDCG@10 differs by -0.0050 [-0.0090, -0.0010], not below -0.0100",
        ),
        (
            {"retrievers": {"split": Interval(-0.02, -0.03, -0.01)}},
            Verdict.FAIL,
            "retrievers: split: NDCG@10 over the best of its own -0.0200 [-0.0300, -0.0100], worse than it",
        ),
        (
            {"retrievers": {}},
            Verdict.INCONCLUSIVE,
            "retrievers: no protocol compares the two stages with their retrievers",
        ),
        ({"coverage": Both(0.5, 0.39)}, Verdict.FAIL, "coverage: 0.390, at least 0.400 wanted"),
        ({"novelty": Both(8.0, 6.0)}, Verdict.FAIL, "novelty: 6.000, at least 6.400 wanted"),
        (
            {"segments": (SegmentCompared("light", 90, 0.1, Interval(-0.04, -0.06, -0.03)),)},
            Verdict.FAIL,
            "segments: light users: NDCG@10 differs by -0.0400 [-0.0600, -0.0300], worse",
        ),
        (
            {"segments": (SegmentCompared("light", 90, 0.1, None),)},
            Verdict.INCONCLUSIVE,
            "segments: light users: NDCG@10 differs by what no interval is known of",
        ),
        (
            {"segments": (SegmentCompared("heavy", 3, 0.1, None),)},
            Verdict.INCONCLUSIVE,
            "segments: heavy users: 3, too few to judge",
        ),
        ({"segments": ()}, Verdict.INCONCLUSIVE, "segments: no segment has 30 users"),
        (
            {"index_recall": 0.9},
            Verdict.FAIL,
            "index_recall: 0.9000 of the exact neighbours, at least 0.9500 wanted",
        ),
        ({"leaks": Leaks(160, 2)}, Verdict.FAIL, "leaks: 2 values were known too early"),
        ({"leaks": Leaks(10, 0)}, Verdict.INCONCLUSIVE, "leaks: 10 rows compared, at least 50 wanted"),
        (
            {"drift": Drift(BAD_DRIFT, newer_hours=48.0)},
            Verdict.PASS,
            "drift: the champion's world has drifted; the challenger's window ends 48 hours later, at least 24 wanted",
        ),
        (
            {"drift": Drift(BAD_DRIFT, newer_hours=0.0)},
            Verdict.FAIL,
            "drift: the champion's world has drifted; the challenger's window ends 0 hours later, at least 24 wanted",
        ),
        (
            {"latency": Latency(200, 0, 5.0, 51.0)},
            Verdict.FAIL,
            "latency: p50 5.0 ms, p99 51.0 ms; at most 10 and 50 wanted",
        ),
        (
            {"latency": Latency(200, 1, 5.0, 20.0)},
            Verdict.INCONCLUSIVE,
            "latency: 200 requests, 1 of them degraded; 100 whole ones wanted",
        ),
        ({"fairness": Report(Verdict.FAIL, ("a", "b", "c", "d"))}, Verdict.FAIL, "fairness: FAIL: a; b; c"),
        (
            {"skew": Report(Verdict.INCONCLUSIVE, ())},
            Verdict.INCONCLUSIVE,
            "skew: INCONCLUSIVE: no reason given",
        ),
        ({"shadow": Absent("shadow.json is not there")}, Verdict.INCONCLUSIVE, "shadow: shadow.json is not there"),
        (
            {"canary": Report(Verdict.FAIL, ("ended ROLLED_BACK",))},
            Verdict.FAIL,
            "canary: FAIL: ended ROLLED_BACK",
        ),
    ],
)
def test_each_gate_says_what_it_saw(change: dict[str, Any], verdict: Verdict, reason: str) -> None:
    decision = decide(replace(GOOD, **change), POLICY)

    assert decision.verdict is verdict
    assert reason in decision.reasons


@given(missing=st.sets(st.sampled_from([field.name for field in fields(Evidence)]), min_size=1))
def test_missing_evidence_is_never_success(missing: set[str]) -> None:
    absent = {name: Absent(f"{name}.json is not there") for name in missing}

    decision = decide(replace(GOOD, **absent), POLICY)  # type: ignore[arg-type]

    assert decision.verdict is Verdict.INCONCLUSIVE
    assert {gate.name for gate in decision.gates if gate.verdict is Verdict.INCONCLUSIVE} == missing


def test_a_gate_that_the_policy_leaves_out_is_not_asked() -> None:
    nothing = {name: Absent("") for name in ("latency", "fairness", "skew")}

    decision = decide(replace(GOOD, **nothing), PromotionPolicy())  # type: ignore[arg-type]

    assert decision.verdict is Verdict.PASS
    assert not {gate.name for gate in decision.gates} & set(nothing)


def test_a_policy_without_any_gate_promotes_nobody() -> None:
    nothing_asked = PromotionPolicy(offline=Offline(**dict.fromkeys(Offline.model_fields)), shadow=None, canary=None)  # type: ignore[arg-type]

    assert decide(GOOD, nothing_asked).verdict is Verdict.INCONCLUSIVE


def test_a_segment_that_loses_shows_behind_a_mean_that_gains() -> None:
    segments = np.repeat(["light", "new"], [6, 3])
    champion = np.repeat([0.2, 0.5], [6, 3])
    challenger = champion + np.repeat([0.3, -0.2], [6, 3])

    rows = segment_lift(champion, challenger, segments, np.arange(9), metric="ndcg@10", seed=1)

    found = {row["segment"]: (row["users"], row["champion"], round(row["value"], 9), row["high"]) for row in rows}
    assert found["new"] == (3, 0.5, -0.2, pytest.approx(-0.2))
    assert found["light"] == (6, pytest.approx(0.2), 0.3, pytest.approx(0.3))


def test_a_segment_of_one_user_has_no_interval() -> None:
    (row,) = segment_lift(
        np.array([0.1, 0.3]), np.array([0.2, 0.2]), np.array(["new"] * 2), np.zeros(2, int), metric="ndcg@10", seed=1
    )

    assert (row["users"], row["low"], row["high"]) == (1, None, None)
