"""What counts as evidence: reports of exactly these versions, of the present data, not too old, and readable."""

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from training.evaluation.bootstrap import Interval
from training.promotion.evidence import Absent, Both, Compared, Drift, Evidence, Latency, Leaks, Report, SegmentCompared
from training.promotion.filed import Pair, read_report
from training.promotion.gather import REPORTS, Found, Trained, gather
from training.verdict import Verdict

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
PAIR = Pair("1", "2")
OPINION = {"verdict": "PASS", "reasons": ["fine"]}
EVALUATION = {
    "champion": "1",
    "challenger": "2",
    "data_fingerprint": "monday",
    "metrics": [
        {"model": "two-stage", "version": version, "metric": metric, "value": value}
        for version, value in (("1", 0.1), ("2", 0.2))
        for metric in ("ndcg@10", "coverage", "novelty@10")
    ],
    "comparison": {"value": 0.1, "low": 0.05, "high": 0.15},
    "over_retrievers": [
        {"version": "2", "protocol": "replay", "value": 0.01, "low": 0.0, "high": 0.02},
        {"version": "1", "protocol": "replay", "value": -1.0, "low": -1.0, "high": -1.0},
    ],
    "segments": [{"segment": "new", "users": 1, "champion": 0.1, "value": 0.0, "low": None, "high": None}],
}
CONTENTS: dict[str, dict[str, Any]] = {
    "evaluation": EVALUATION,
    "drift": {"champion": "1", **OPINION},
    "latency": {"version": "2", "requests": 200, "degraded": 0, "p50_ms": 5.0, "p99_ms": 9.0},
    "fairness": {"champion": "1", "challenger": "2", **OPINION},
    "skew": {"version": "1", **OPINION},
    "shadow": {"champion": "1", "challenger": "2", **OPINION},
    "canary": {"champion": "1", "challenger": "2", "end_state": "PROMOTED", "reasons": ["every step passed"]},
}
OLD = Trained("2026-04-01T00:00:00+00:00", {})
NEW = Trained("2026-04-03T00:00:00+00:00", {"index_recall": 0.99, "leak_check_rows": 160.0, "leaks_found": 0.0})


def write(folder: Path, name: str, **changes: Any) -> None:
    content = {"made_at": NOW.isoformat(), **CONTENTS[name], **changes}
    (folder / f"{name}.json").write_text(json.dumps(content))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in CONTENTS:
        write(tmp_path, name)
    return tmp_path


def evidence(folder: Path, *, new: Trained = NEW, fingerprint: str | None = "monday") -> Evidence:
    reports = {name: read_report(folder, name, made_by=made_by) for name, made_by in REPORTS.items()}
    return gather(Found(reports, OLD, new, fingerprint), PAIR, now=NOW, max_age_hours=168)


def test_every_report_becomes_its_evidence(folder: Path) -> None:
    found = evidence(folder)

    fine = Report(Verdict.PASS, ("fine",))
    assert found == Evidence(
        quality=Compared(0.1, Interval(0.1, 0.05, 0.15)),
        retrievers={"replay": Interval(0.01, 0.0, 0.02)},
        coverage=Both(0.1, 0.2),
        novelty=Both(0.1, 0.2),
        segments=(SegmentCompared("new", 1, 0.1, None),),
        index_recall=0.99,
        leaks=Leaks(160, 0),
        drift=Drift(fine, 48.0),
        latency=Latency(200, 0, 5.0, 9.0),
        fairness=fine,
        skew=fine,
        shadow=fine,
        canary=Report(Verdict.PASS, ("ended PROMOTED", "every step passed")),
    )


@pytest.mark.parametrize(("state", "verdict"), [("ROLLED_BACK", Verdict.FAIL), ("HALTED", Verdict.INCONCLUSIVE)])
def test_only_a_promoted_rollout_passes(folder: Path, state: str, verdict: Verdict) -> None:
    write(folder, "canary", end_state=state)

    found = evidence(folder).canary

    assert isinstance(found, Report)
    assert found.verdict is verdict


@pytest.mark.parametrize("name", [name for name in CONTENTS if name != "evaluation"])
def test_a_report_of_other_versions_is_no_evidence(folder: Path, name: str) -> None:
    write(folder, name, **{key: "7" for key in ("version", "champion", "challenger") if key in CONTENTS[name]})

    found = getattr(evidence(folder), name)

    assert isinstance(found, Absent)
    assert found.why.startswith(f"{name}.json is about version")
    assert " 7" in found.why
    assert ", and not " in found.why


def test_a_report_that_names_no_version_is_no_evidence(folder: Path) -> None:
    (folder / "latency.json").write_text(json.dumps({"requests": 200, "p50_ms": 5.0, "p99_ms": 9.0, "degraded": 0}))
    os.utime(folder / "latency.json", (NOW.timestamp(), NOW.timestamp()))

    assert evidence(folder).latency == Absent("latency.json is about version nobody knows, and not 2")


@pytest.mark.parametrize("name", CONTENTS)
def test_a_missing_report_names_the_command_that_makes_it(folder: Path, name: str) -> None:
    (folder / f"{name}.json").unlink()

    found = getattr(evidence(folder), {"evaluation": "quality"}.get(name, name))

    assert found == Absent(f"{name}.json is not there: run `{REPORTS[name]}`")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"made_at": "yesterday"}', '{"made_at": 7}', "\x00"])
def test_an_unreadable_report_is_no_evidence(folder: Path, text: str) -> None:
    (folder / "skew.json").write_text(text)

    assert evidence(folder).skew == Absent("skew.json cannot be read: run `make skew`")


def test_a_stale_report_is_no_evidence_by_its_own_date_or_its_files(folder: Path) -> None:
    ago = NOW - timedelta(days=9)
    write(folder, "skew", made_at=ago.isoformat())
    (folder / "drift.json").write_text(json.dumps(CONTENTS["drift"]))
    os.utime(folder / "drift.json", (ago.timestamp(), ago.timestamp()))

    found = evidence(folder)

    assert found.skew == Absent("skew.json is 9.0 days old, at most 7.0 are allowed: make it anew")
    assert found.drift == Absent("drift.json is 9.0 days old, at most 7.0 are allowed: make it anew")


def test_a_report_from_the_future_is_no_evidence(folder: Path) -> None:
    write(folder, "skew", made_at=(NOW + timedelta(hours=1)).isoformat())

    why = "skew.json was made in the future, at 2026-05-01T13:00:00+00:00: check the clocks"
    assert evidence(folder).skew == Absent(why)


@pytest.mark.parametrize("fingerprint", ["tuesday", None])
def test_an_evaluation_of_other_data_is_no_evidence(folder: Path, fingerprint: str | None) -> None:
    found = evidence(folder, fingerprint=fingerprint)

    assert found.quality == Absent("evaluation.json is about other data than data.json: run `make evaluate`")


@pytest.mark.parametrize(
    ("name", "changes", "field"),
    [
        ("evaluation", {"comparison": None}, "quality"),
        ("evaluation", {"comparison": {"value": float("nan"), "low": 0, "high": 0}}, "quality"),
        ("evaluation", {"metrics": []}, "coverage"),
        ("evaluation", {"segments": None}, "segments"),
        ("latency", {"p99_ms": float("inf")}, "latency"),
        ("skew", {"verdict": "GREEN"}, "skew"),
        ("drift", {"reasons": None}, "drift"),
        ("canary", {"end_state": "PROMOTED", "reasons": 3}, "canary"),
    ],
)
def test_a_report_without_the_number_that_decides_is_no_evidence(
    folder: Path, name: str, changes: dict[str, Any], field: str
) -> None:
    write(folder, name, **changes)

    assert getattr(evidence(folder), field) == Absent(f"{name}.json does not hold what this gate reads: make it anew")


def test_a_version_whose_training_measured_no_recall_and_no_leaks_shows_neither(folder: Path) -> None:
    found = evidence(folder, new=Trained(NEW.window_end, {"index_recall": float("nan")}))

    why = Absent("the challenger's manifest does not hold what this gate reads: make it anew")
    assert (found.index_recall, found.leaks) == (why, why)
