"""canary.json and canary.html of a rollout whose figures are known."""

import json
import math
from collections import Counter
from html.parser import HTMLParser

import pytest

from k8s.assess import Assessment
from k8s.conduct import Outcome, StepRecord
from k8s.evidence import Latencies, Missing, OperationsEvidence, Window
from k8s.observe import Observation
from k8s.page import page_of
from k8s.release import Versions
from k8s.replay import Tally
from k8s.report import report_of
from k8s.rollout import State
from training.verdict import Verdict

VERSIONS = Versions(champion="3", challenger="4")


def record(index: int, weight: int, canary: Window | Missing) -> StepRecord:
    stable = Window(90, 1, 2, Latencies((10.0, math.inf), (90, 0)))
    tally = Tally(100, 1, Counter(stable=90, canary=10), Counter(stable=9))
    seen = Observation(OperationsEvidence(canary, stable), tally, seconds=1.26, exhausted=False)
    return StepRecord(index, weight, 1, 1.26, tally, seen, Assessment(Verdict.INCONCLUSIVE, ("p99 < 2",)))


def outcome(canary: Window | Missing) -> Outcome:
    return Outcome(State.HALTED, ("p99 < 2",), (record(0, 10, canary), record(1, 100, canary)))


BEYOND = Window(10, 0, 0, Latencies((10.0, math.inf), (5, 5)))


def test_a_step_carries_counts_latencies_and_the_labelled_hit_rate() -> None:
    step = report_of(VERSIONS, outcome(BEYOND))["steps"][0]

    assert (step["weight"], step["requests"], step["failed"], step["verdict"]) == (10, 100, 1, "INCONCLUSIVE")
    assert step["stable"] == {
        "requests": 90,
        "errors": 1,
        "degraded": 2,
        "p50_ms": 5.0,
        "p99_ms": pytest.approx(9.9),
        "window": "this step",
    }
    assert step["hit_rate"] == {"stable": 0.1, "canary": 0.0, "label": "replay"}


def test_at_weight_100_the_report_says_that_the_stables_figures_are_older() -> None:
    step = report_of(VERSIONS, outcome(BEYOND))["steps"][1]

    assert (step["stable"]["window"], step["canary"]["window"]) == ("earlier steps", "this step")


def test_a_quantile_beyond_the_last_bucket_is_null_since_json_knows_no_infinity() -> None:
    report = report_of(VERSIONS, outcome(BEYOND))

    assert report["steps"][0]["canary"]["p99_ms"] is None
    assert "Infinity" not in json.dumps(report)


def test_missing_evidence_is_null_with_its_reason_and_never_zero() -> None:
    canary = report_of(VERSIONS, outcome(Missing("gone")))["steps"][0]["canary"]

    assert canary["missing"] == "gone"
    assert canary["requests"] is None
    assert canary["errors"] is None


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


@pytest.mark.parametrize("canary", [BEYOND, Missing("gone")], ids=["seen", "missing"])
def test_the_page_is_well_formed_escaped_and_needs_nothing_from_elsewhere(canary: Window | Missing) -> None:
    page = page_of(report_of(VERSIONS, outcome(canary)))

    outline = Outline()
    outline.feed(page)
    assert (outline.open, outline.rows, outline.links) == ([], 5, [])
    assert "p99 &lt; 2" in page
    assert page.count("<svg") == 3


def test_a_rollout_without_a_step_still_has_a_page() -> None:
    report = report_of(VERSIONS, Outcome(State.HALTED, ("never ready",), ()))

    assert "never ready" in page_of(report)
