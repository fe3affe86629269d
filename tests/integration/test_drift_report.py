"""Real Evidently on small windows whose distances are known, beside the distances that decide."""

import json
import re
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from drift_windows import SLATE, moved, slates, with_columns
from rich.console import Console

from feature_repo.core.workspace import Workspace
from monitoring.drift.job import check_drift, judge_windows
from monitoring.drift.policy import DriftPolicy
from monitoring.drift.window import window_of
from monitoring.drift_table import drift_table

pytestmark = [
    pytest.mark.integration,
    # Evidently imports its user interface, and numpy under its old name; scikit-learn under pandas warns by itself.
    pytest.mark.filterwarnings("ignore:numpy.core is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Call to deprecated function 'Dependency':DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Use of deprecated class 'DependencyKwarg':DeprecationWarning"),
]
NOW = datetime(2026, 1, 5, tzinfo=UTC)
REQUESTS = 600


def tiny(table: pa.Table, seed: int) -> pa.Table:
    """With a column of tiny values, and one that says what was gone on to."""
    rng = np.random.default_rng(seed)
    share = rng.uniform(0.0, 1e-4, table.num_rows)
    return with_columns(table, {"share": share, "label": (rng.random(table.num_rows) < 0.2).astype(np.float32)})


def windows() -> tuple[pa.Table, pa.Table]:
    before, after = (slates(seed=seed, requests=REQUESTS, first_day=7 * (seed - 1)) for seed in (1, 2))
    return tiny(before, 1), tiny(after, 2)


def judge(folder: Path, before: pa.Table, after: pa.Table, **settings: Any) -> Mapping[str, Any]:
    policy = DriftPolicy(draws=200, **settings)
    both = (window_of(table, policy) for table in (before, after))
    return judge_windows(*both, policy, version="1", folder=folder, now=NOW)


def column(report: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    (found,) = [each for each in report["columns"] if each["column"] == name]
    return dict(found)


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Mapping[str, Any]]:
    folder = tmp_path_factory.mktemp("quiet")
    return folder, judge(folder, *windows())


def test_the_distances_that_decide_are_those_of_evidently(quiet: tuple[Path, Mapping[str, Any]]) -> None:
    _, report = quiet

    numbers = [c for c in report["columns"] if c["distance"] is not None]
    assert {"taste", "fit", "price", "share", "score"} <= {c["column"] for c in numbers}
    for each in numbers:
        assert each["evidently"] == pytest.approx(each["distance"], rel=1e-6), each["column"]


def test_the_page_opens_with_verdict_and_sizes_and_loads_nothing_from_elsewhere(
    quiet: tuple[Path, Mapping[str, Any]],
) -> None:
    folder, report = quiet

    page = (folder / "drift.html").read_text()
    opening = page.split("<body>")[1][:2_000]
    assert report["verdict"] == "PASS"
    assert "Champion: version 1. Verdict: PASS. Source: window." in opening
    assert f"The current window: {REQUESTS * SLATE:,} rows of {REQUESTS} requests" in opening
    assert not re.search(r"<(script|link|img|iframe)\b[^>]*\b(src|href)=[\"']?(https?:)?//", page)


def test_method_and_threshold_are_spelled_out_and_colour_as_the_verdict_does(
    quiet: tuple[Path, Mapping[str, Any]],
) -> None:
    folder, report = quiet

    written = json.loads((folder / "drift.evidently.json").read_text())
    configs = {
        m["config"]["column"]: m["config"] for m in written["metrics"] if m["config"]["type"].endswith(":ValueDrift")
    }
    assert configs["genre=War"]["method"] == "jensenshannon"
    assert configs["fit"]["method"] == "wasserstein"
    assert configs["fit"]["threshold"] == column(report, "fit")["distance_threshold"]
    kinds = {m["config"]["type"].rsplit(":", 1)[-1] for m in written["metrics"]}
    assert {"PrecisionTopK", "HitRate", "Personalization"} <= kinds


def test_a_shift_of_one_standard_deviation_is_a_distance_of_one_for_both(tmp_path: Path) -> None:
    before, after = windows()

    report = judge(tmp_path, before, moved(after, fit=1.0, share=3e-5))

    assert report["verdict"] == "FAIL"
    assert column(report, "fit")["evidently"] == pytest.approx(1.0, abs=0.1)
    assert column(report, "share")["evidently"] == pytest.approx(column(report, "share")["distance"], rel=1e-6)
    assert column(report, "share")["drifted"]


def test_an_empty_window_is_inconclusive_and_clears_away_the_page_of_an_earlier_run(tmp_path: Path) -> None:
    before, after = windows()
    for name in ("drift.html", "drift.evidently.json"):
        (tmp_path / name).write_text("of an earlier run")

    report = judge(tmp_path, before, after.slice(0, 0))

    assert (report["verdict"], report["reasons"]) == ("INCONCLUSIVE", ["current window is empty"])
    assert report["html"] is None
    assert {path.name for path in tmp_path.iterdir()} == {"drift.json", "drift.prom"}


def test_the_job_reads_the_champions_reference_and_writes_what_the_terminal_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = Workspace(root=tmp_path, store=tmp_path / "store")
    workspace.reports.mkdir()
    before, after = windows()
    pq.write_table(before.drop_columns(["item_id"]), tmp_path / "reference.parquet")
    pq.write_table(after.drop_columns(["item_id"]), workspace.reports / "current-7.parquet")
    logged: list[Path] = []
    registry = SimpleNamespace(
        version_of_alias=lambda *_: "7",
        download_bundle=lambda *_: tmp_path,
        log_report=lambda _workspace, _version, *files: logged.extend(files),
    )
    monkeypatch.setitem(sys.modules, "training.registry", registry)

    report = check_drift(workspace, DriftPolicy(draws=200), now=NOW)

    assert json.loads((workspace.reports / "drift.json").read_text()) == report
    assert (report["version"], report["made_at"]) == ("7", NOW.isoformat())
    assert [file.name for file in logged] == ["drift.json", "drift.prom", "drift.html", "drift.evidently.json"]
    console = Console(width=100, color_system=None)
    with console.capture() as capture:
        console.print(drift_table(report))
    assert "Drift against champion version 7 (the newest events, replayed)" in capture.get()
    assert "Drift verdict: PASS" in capture.get()
