"""canary.json and canary.html of a rollout whose figures are known."""

import json
import math
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest

from k8s.evidence.pairs import Pairs
from k8s.evidence.rates import Allotted, Quality, Rate, RateSums
from k8s.evidence.window import Latencies, Missing, Operations, Window
from k8s.judgement.assess import CanaryEvidence, Evidence, ReadyEvidence, ShadowEvidence
from k8s.laptop.callers import Tally
from k8s.laptop.page import page_of
from k8s.laptop.records import Records
from k8s.laptop.report import canary_report, shadow_report
from k8s.laptop.screen import summary, why
from k8s.policy.rules import RolloutPolicy
from k8s.rollout.pods import PodsSeen
from k8s.rollout.rollout import Rollout
from k8s.rollout.states import State
from k8s.rollout.tick import Assessment, Observation, Ticked
from training.verdict import Verdict

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FRESH = Rollout.begin("3-4", "3", "4", RolloutPolicy(), now=NOW)
BEYOND = Window(10, 0, 0, Latencies((10.0, math.inf), (5, 5)))
STABLE = Window(90, 1, 2, Latencies((10.0, math.inf), (90, 0)))
RATES = Rate(RateSums(5, 100, 6, 5, 90, 9, 70, 900), RateSums(9, 900, 45, 4, 90, 9, 70, 900))
QUALITY = Quality(RATES, Missing("nothing is sold"), Allotted(10, 100), sticky_share=0.5)
TALLY = Tally(100, 1, Counter(stable=90, canary=10), Counter(stable=9))


@pytest.fixture
def records(tmp_path: Path) -> Records:
    return Records(tmp_path / "records.json", FRESH)


def look(records: Records, state: State, index: int, evidence: Evidence) -> None:
    at = replace(FRESH, state=state, index=index)
    assessment = Assessment(Verdict.INCONCLUSIVE, ("p99 < 2",))
    records.looked(Ticked(at, at, Observation(evidence, {}), assessment), TALLY, now=NOW)


def canary(window: Window | Missing) -> CanaryEvidence:
    return CanaryEvidence(Operations(window, STABLE), QUALITY)


def halted(index: int = 0) -> Rollout:
    return replace(FRESH, state=State.HALTED, index=index, reasons=("p99 < 2",))


def report(records: Records, window: Window | Missing) -> dict[str, object]:
    look(records, State.CANARY, 0, canary(window))
    look(records, State.CANARY, 1, canary(window))
    return canary_report(halted(1), records, users="simulated", now=NOW)


def test_a_step_carries_counts_latencies_clicks_and_the_labelled_hit_rate(records: Records) -> None:
    look(records, State.CANARY, 0, canary(BEYOND))
    look(records, State.CANARY, 0, canary(BEYOND))

    (step,) = canary_report(halted(), records, users="simulated", now=NOW)["steps"]

    assert (step["weight"], step["requests"], step["failed"], step["looks"]) == (1, 100, 1, 2)
    assert step["stable"] == {
        "requests": 90,
        "errors": 1,
        "degraded": 2,
        "p50_ms": 5.0,
        "p99_ms": pytest.approx(9.9),
        "window": "this step",
    }
    assert step["hit_rate"] == {"stable": 0.1, "canary": 0.0, "label": "replay"}
    assert step["quality"]["clicks"]["canary"] == {"users": 5, "impressions": 100, "hits": 6, "rate": 5 / 90}
    assert step["quality"]["conversions"] == {"missing": "nothing is sold"}


@pytest.mark.parametrize(
    ("state", "verdict"),
    [
        (State.PROMOTED, "PASS"),
        (State.ROLLED_BACK, "FAIL"),
        (State.HALTED, "INCONCLUSIVE"),
        (State.CANARY, "INCONCLUSIVE"),
    ],
)
def test_a_report_has_what_a_gate_reads(records: Records, state: State, verdict: str) -> None:
    told = canary_report(replace(FRESH, state=state, index=0), records, users="replay", now=NOW)

    assert (told["champion"], told["challenger"], told["verdict"], told["end_state"]) == ("3", "4", verdict, state)
    assert told["made_at"] == NOW.isoformat()


def test_a_quantile_beyond_the_last_bucket_is_null_since_json_knows_no_infinity(records: Records) -> None:
    told = report(records, BEYOND)

    assert told["steps"][0]["canary"]["p99_ms"] is None  # type: ignore[index]
    assert "Infinity" not in json.dumps(told)


def test_missing_evidence_is_null_with_its_reason_and_never_zero(records: Records) -> None:
    seen = report(records, Missing("gone"))["steps"][0]["canary"]  # type: ignore[index]

    assert (seen["missing"], seen["requests"], seen["errors"]) == ("gone", None, None)


def test_the_shadow_has_a_report_of_its_own(records: Records) -> None:
    evidence = ShadowEvidence(Operations(BEYOND, STABLE), Pairs(100, 98, 0.4, 0.2, 0.5, 0.01))
    assert shadow_report(FRESH, records, now=NOW) is None

    look(records, State.SHADOW, -1, evidence)

    told = shadow_report(FRESH, records, now=NOW)
    assert told is not None
    assert (told["champion"], told["verdict"], told["pairs"]["overlap"]) == ("3", "INCONCLUSIVE", 0.4)


def test_looks_at_pods_that_are_not_ready_are_no_steps(records: Records) -> None:
    nobody = PodsSeen(0, 1, (), ())

    look(records, State.PENDING, -1, ReadyEvidence(nobody, nobody))

    assert canary_report(halted(), records, users="replay", now=NOW)["steps"] == []


def test_records_outlive_their_process_and_not_their_rollout(records: Records, tmp_path: Path) -> None:
    look(records, State.CANARY, 0, canary(BEYOND))

    again = Records(tmp_path / "records.json", FRESH)
    other = Records(tmp_path / "records.json", replace(FRESH, name="3-5"))

    assert len(again.steps(FRESH, State.CANARY)) == 1
    assert other.steps(FRESH, State.CANARY) == []


class Outline(HTMLParser):
    """Tags that were opened and closed, and whatever points elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.rows = 0
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.rows += tag == "tr"
        self.links += [str(value) for name, value in attrs if name in ("src", "href")]
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("window", [BEYOND, Missing("gone")], ids=["seen", "missing"])
def test_the_page_is_well_formed_escaped_and_needs_nothing_from_elsewhere(
    records: Records, window: Window | Missing
) -> None:
    page = page_of(report(records, window))

    outline = Outline()
    outline.feed(page)
    assert (outline.open, outline.rows, outline.links) == ([], 5, [])
    assert "p99 &lt; 2" in page
    assert page.count("<svg") == 3


def test_a_rollout_without_a_step_still_has_a_page(records: Records) -> None:
    never = replace(FRESH, state=State.HALTED, reasons=("never ready",))

    assert "never ready" in page_of(canary_report(never, records, users="replay", now=NOW))


def test_the_closing_table_says_when_no_user_saw_the_canary(records: Records) -> None:
    never = summary(canary_report(halted(), records, users="replay", now=NOW))
    looked = summary(report(records, BEYOND))

    assert (never.caption, never.row_count) == ("it ended before its first step: no user saw the canary", 0)
    assert looked.row_count == 2


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (State.PROMOTED, []),
        (State.ROLLED_BACK, ["errors: 9 (FAIL)"]),
        (State.HALTED, ["p50: 1 (INCONCLUSIVE)"]),
    ],
)
def test_the_terminal_says_why_a_rollout_did_not_end_well(records: Records, state: State, expected: list[str]) -> None:
    """It once said HALTED under an empty table, and nothing more."""
    reasons = ("errors: 9 (FAIL)", "p50: 1 (INCONCLUSIVE)", "split: 2 (PASS)")
    ended = replace(halted(), state=state, reasons=reasons)

    assert why(canary_report(ended, records, users="replay", now=NOW)) == expected


def test_a_rehearsal_says_on_its_page_that_it_decides_nothing(records: Records) -> None:
    page = page_of(canary_report(halted(), records, users="replay", now=NOW, rehearsal="FAULT=slow: late"))

    assert "A rehearsal, which no promotion is decided on: FAULT=slow: late." in page
