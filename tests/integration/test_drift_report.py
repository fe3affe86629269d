"""Real Evidently on small generated windows whose distances are known."""

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from feature_repo.core.workspace import Workspace
from monitoring.drift import DriftPolicy
from monitoring.drift_job import check_drift, judge_windows
from monitoring.drift_table import drift_table

pytestmark = [
    pytest.mark.integration,
    # Evidently imports its user interface, and numpy under its old name.
    pytest.mark.filterwarnings("ignore:numpy.core is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Call to deprecated function 'Dependency':DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Use of deprecated class 'DependencyKwarg':DeprecationWarning"),
]
ROWS = 2_000


def features(rows: int = ROWS) -> dict[str, Any]:
    """Five columns of one slate each ten rows; the values are the same on every call."""
    rng = np.random.default_rng(7)
    return {
        "age_days": rng.normal(100.0, 10.0, rows),
        "popularity_share": rng.uniform(0.0, 1e-4, rows),
        "is_new": rng.random(rows) < 0.3,
        "genre=War": (rng.random(rows) < 0.3).astype(float),
        "score": rng.normal(0.0, 1.0, rows),
    }


def judge(
    folder: Path, current: Mapping[str, Any], reference: Mapping[str, Any] | None = None, **settings: Any
) -> Mapping[str, Any]:
    """Write two windows and judge them."""
    reference = features() if reference is None else reference
    for name, columns in (("reference", reference), ("current", current)):
        rows = len(next(iter(columns.values())))
        identity = {"request_id": [f"r{row // 10}" for row in range(rows)], "user_id": ["u"] * rows}
        moments = pa.array(range(rows), pa.timestamp("us", "UTC"))
        pq.write_table(pa.table({**identity, "moment": moments, **columns}), folder / f"{name}.parquet")
    paths = (folder / "reference.parquet", folder / "current.parquet")
    return judge_windows(*paths, DriftPolicy(**settings), champion="1", folder=folder / "reports")


def column(report: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    (found,) = [each for each in report["columns"] if each["column"] == name]
    return dict(found)


def test_identical_windows_pass_with_every_distance_zero(tmp_path: Path) -> None:
    report = judge(tmp_path, features())

    assert report["verdict"] == "PASS"
    assert [each["statistic"] for each in report["columns"]] == [0.0] * 5


def test_a_shift_of_one_standard_deviation_is_a_distance_of_one_and_fails_by_name(tmp_path: Path) -> None:
    current = features()
    current["age_days"] = current["age_days"] + 10.0
    current["score"] = current["score"] - 1.0

    report = judge(tmp_path, current)

    assert report["verdict"] == "FAIL"
    assert "age_days" in report["reasons"][0]
    assert column(report, "age_days")["statistic"] == pytest.approx(1.0, abs=0.05)
    assert column(report, "score")["statistic"] == pytest.approx(1.0, abs=0.05)
    assert column(report, "is_new")["statistic"] == 0.0


def test_a_column_of_tiny_values_is_seen_although_evidently_clamps_its_divisor(tmp_path: Path) -> None:
    current = features()
    current["popularity_share"] = current["popularity_share"] * 3

    found = column(judge(tmp_path, current), "popularity_share")

    assert found["drifted"]
    assert found["statistic"] > 1.0


@pytest.mark.parametrize("rows", [600, 2_000])
def test_method_and_threshold_stay_the_same_below_and_above_a_thousand_rows(tmp_path: Path, rows: int) -> None:
    judge(tmp_path, features(rows), features(rows), minimum_requests=50)

    written = json.loads((tmp_path / "reports" / "drift.evidently.json").read_text())
    configs = [m["config"] for m in written["metrics"] if m["config"]["type"].endswith(":ValueDrift")]
    assert [config["column"] for config in configs] == list(features())
    rules = {config["column"]: (config["method"], config["threshold"]) for config in configs}
    assert rules.pop("genre=War") == ("jensenshannon", 0.1)
    assert set(rules.values()) == {("wasserstein", 0.2)}


def test_the_page_opens_with_verdict_and_sample_sizes_and_loads_nothing_from_elsewhere(
    tmp_path: Path,
) -> None:
    judge(tmp_path, features(), sample_rows=500)

    page = (tmp_path / "reports" / "drift.html").read_text()
    opening = page.split("<body>")[1][:1_000]
    assert "Champion: version 1. Verdict: PASS." in opening
    assert "The current window: 2,000 rows of 200 requests; 500 rows sampled." in opening
    assert not re.search(r"<(script|link|img|iframe)\b[^>]*\b(src|href)=[\"']?(https?:)?//", page)


@pytest.mark.parametrize(
    ("replaced", "reason"),
    [
        ({"age_days": np.full(ROWS, 3.0)}, "age_days: constant: "),
        ({"age_days": np.full(ROWS, np.nan)}, "age_days: holds no value in the current window"),
        ({"age_days": ["old"] * ROWS}, "age_days: changed type from number to other"),
        ({"surprise": np.arange(ROWS)}, "surprise: not in the reference"),
    ],
)
def test_a_broken_column_is_inconclusive_by_name(tmp_path: Path, replaced: dict[str, Any], reason: str) -> None:
    report = judge(tmp_path, {**features(), **replaced})

    assert report["verdict"] == "INCONCLUSIVE"
    assert report["reasons"][0].startswith(reason)
    assert column(report, next(iter(replaced)))["statistic"] is None


def test_a_missing_column_is_inconclusive_by_name(tmp_path: Path) -> None:
    current = {name: values for name, values in features().items() if name != "is_new"}

    report = judge(tmp_path, current)

    assert report["verdict"] == "INCONCLUSIVE"
    assert report["reasons"][0] == "is_new: missing from the current window"


def test_a_constant_column_is_green_only_where_the_policy_expects_it(tmp_path: Path) -> None:
    windows = {**features(), "always_one": np.ones(ROWS)}

    strict = judge(tmp_path, windows, windows)
    expected = judge(tmp_path, windows, windows, constant_by_design=frozenset({"always_one"}))

    assert strict["verdict"] == "INCONCLUSIVE"
    assert strict["reasons"][0].startswith("always_one: constant in both windows (always 1)")
    assert expected["verdict"] == "PASS"


def test_a_flag_of_a_rare_genre_may_be_absent_from_one_window_or_both(tmp_path: Path) -> None:
    rare = np.zeros(ROWS)
    rare[:10] = 1.0
    reference = {**features(), "genre=Western": rare, "genre=unknown": np.zeros(ROWS)}
    current = {**features(), "genre=Western": np.zeros(ROWS), "genre=unknown": np.zeros(ROWS)}

    report = judge(tmp_path, current, reference)

    assert report["verdict"] == "PASS"
    assert report["reasons"][1].endswith("as the policy expects: genre=unknown")
    assert 0 < column(report, "genre=Western")["statistic"] < 0.1


def test_a_flag_that_turns_common_has_drifted(tmp_path: Path) -> None:
    current = {**features(), "genre=War": 1.0 - features()["genre=War"]}

    found = column(judge(tmp_path, current), "genre=War")

    assert found["drifted"]
    assert found["statistic"] == pytest.approx(0.286, abs=0.02)  # of (0.7, 0.3) and (0.3, 0.7)


def test_an_expected_constant_that_changes_is_still_named(tmp_path: Path) -> None:
    reference = {**features(), "always_one": np.ones(ROWS)}
    current = {**features(), "always_one": np.zeros(ROWS)}

    report = judge(tmp_path, current, reference, constant_by_design=frozenset({"always_one"}))

    assert report["verdict"] == "INCONCLUSIVE"


def test_an_empty_window_is_inconclusive_and_clears_away_the_page_of_an_earlier_run(tmp_path: Path) -> None:
    judge(tmp_path, features())
    empty = {name: values[:0] for name, values in features().items()}

    report = judge(tmp_path, empty)

    assert (report["verdict"], report["reasons"]) == ("INCONCLUSIVE", ["current window is empty"])
    assert report["html"] is None
    assert [path.name for path in (tmp_path / "reports").iterdir()] == ["drift.json"]


def test_the_job_reads_the_champions_reference_and_writes_what_the_terminal_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = Workspace(root=tmp_path, store=tmp_path / "store")
    workspace.reports.mkdir()
    judge(tmp_path, features())
    (tmp_path / "current.parquet").rename(workspace.reports / "current-7.parquet")
    logged: list[Path] = []
    registry = SimpleNamespace(
        version_of_alias=lambda *_: "7",
        download_bundle=lambda *_: tmp_path,
        log_report=lambda _workspace, _version, *files: logged.extend(files),
    )
    monkeypatch.setitem(sys.modules, "training.registry", registry)

    report = check_drift(workspace, DriftPolicy())

    assert json.loads((workspace.reports / "drift.json").read_text()) == report
    assert [file.name for file in logged] == ["drift.json", "drift.html", "drift.evidently.json"]
    console = Console(width=100, color_system=None)
    with console.capture() as capture:
        console.print(drift_table(report))
    assert "Drift against champion version 7" in capture.get()
    assert "Drift verdict: PASS" in capture.get()
