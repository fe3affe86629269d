from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.evaluation.bootstrap import Interval
from training.promote import gather
from training.promotion import Evidence, PromotionPolicy, decide
from training.verdict import Verdict

POLICY = PromotionPolicy(margin_share=0.1, coverage_share=0.8)
GOOD = Evidence(
    champion_ndcg=0.10,
    difference=Interval(0.004, -0.002, 0.010),
    champion_coverage=0.50,
    challenger_coverage=0.45,
    canary_end_state="PROMOTED",
    over_retriever={"replay": Interval(0.004, -0.002, 0.010), "split": Interval(0.02, 0.01, 0.03)},
)


def test_a_challenger_that_passes_every_gate_passes() -> None:
    decision = decide(GOOD, POLICY)

    assert decision.verdict is Verdict.PASS
    assert len(decision.reasons) == 5


@pytest.mark.parametrize(
    ("change", "verdict", "reason"),
    [
        ({"difference": Interval(-0.02, -0.03, -0.01)}, Verdict.FAIL, "worse than the champion"),
        ({"difference": Interval(-0.005, -0.02, 0.01)}, Verdict.INCONCLUSIVE, "which reaches below -0.0100"),
        ({"difference": Interval(-0.005, -0.009, -0.001)}, Verdict.PASS, "not below -0.0100"),
        ({"over_retriever": {"split": Interval(-0.02, -0.03, -0.01)}}, Verdict.FAIL, "over the best of its own"),
        (
            {"over_retriever": {"replay": Interval(0.0, -0.006, 0.006)}},
            Verdict.INCONCLUSIVE,
            "which reaches below -0.0050",
        ),
        ({"challenger_coverage": 0.39}, Verdict.FAIL, "at least 0.400 wanted"),
        ({"canary_end_state": "ROLLED_BACK"}, Verdict.FAIL, "canary: ended ROLLED_BACK"),
        ({"canary_end_state": "HALTED"}, Verdict.INCONCLUSIVE, "canary: ended HALTED"),
        ({"canary_end_state": "whatever"}, Verdict.INCONCLUSIVE, "canary: ended whatever"),
    ],
)
def test_each_gate_says_what_it_saw(change: dict[str, object], verdict: Verdict, reason: str) -> None:
    decision = decide(replace(GOOD, **change), POLICY)  # type: ignore[arg-type]

    assert decision.verdict is verdict
    assert any(reason in given_reason for given_reason in decision.reasons)


@given(missing=st.sets(st.sampled_from([f.name for f in fields(Evidence)]), min_size=1))
def test_missing_evidence_is_never_success(missing: set[str]) -> None:
    decision = decide(replace(GOOD, **dict.fromkeys(missing)), POLICY)  # type: ignore[arg-type]

    assert decision.verdict is Verdict.INCONCLUSIVE


def test_reports_about_other_versions_are_no_evidence() -> None:
    reports = {
        "evaluation": {
            "champion": "1",
            "challenger": "2",
            "metrics": [
                {"model": "two-stage", "version": v, "metric": m, "value": 0.1}
                for v in ("1", "2")
                for m in ("ndcg@10", "coverage")
            ],
            "comparison": {"value": 0.0, "low": -0.001, "high": 0.001},
            "over_retrievers": [{"version": "2", "protocol": "replay", "value": 0.01, "low": 0.0, "high": 0.02}],
        },
        "canary": {"champion": "1", "challenger": "2", "end_state": "PROMOTED"},
    }

    same = gather(reports, champion="1", challenger="2")
    other = gather(reports, champion="2", challenger="3")

    assert decide(same, POLICY).verdict is Verdict.PASS
    assert other == Evidence(None, None, None, None, None, None)
