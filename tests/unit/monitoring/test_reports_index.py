"""The page that leads to all reports of a release."""

import re
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from feature_repo.core.console import run
from feature_repo.core.workspace import write_json
from monitoring.__main__ import app
from monitoring.reports_index import REPORTS, write_index

NOW = datetime(2026, 5, 1, 12, 30, tzinfo=UTC)


def page_of(folder: Path) -> str:
    return write_index(folder, now=NOW).read_text(encoding="utf-8")


def row_of(page: str, name: str) -> str:
    [row] = [row for row in re.findall(r"<tr>.*?</tr>", page, re.DOTALL) if f'scope="row"><a href="{name}' in row]
    return re.sub(r"\s+", " ", row)


def test_a_report_has_its_verdict_versions_time_and_links(tmp_path: Path) -> None:
    made = "2026-04-30T10:00:00+02:00"
    write_json(tmp_path / "fairness.json", {"verdict": "FAIL", "champion": "1", "challenger": "2", "made_at": made})
    (tmp_path / "fairness.html").write_text("<!doctype html>")

    row = row_of(page_of(tmp_path), "fairness")

    assert '<a href="fairness.html">fairness</a>' in row
    assert '<span class="verdict FAIL">FAIL</span>' in row
    assert "champion 1, challenger 2" in row
    assert "2026-04-30 08:00" in row
    assert '<a href="fairness.json" aria-label="fairness, JSON">JSON</a>' in row


def test_the_command_writes_the_page_and_says_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BUILD", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["monitoring", "index"])

    with pytest.raises(SystemExit) as ended:
        run(app)

    assert ended.value.code == 0
    assert capsys.readouterr().out == f"{tmp_path / 'reports' / 'index.html'}\n"
    assert (tmp_path / "reports" / "index.html").exists()


def test_a_rollout_is_told_by_its_end_state(tmp_path: Path) -> None:
    write_json(tmp_path / "canary.json", {"end_state": "ROLLED_BACK"})

    assert '<span class="verdict FAIL">ROLLED_BACK</span>' in row_of(page_of(tmp_path), "canary")


def test_what_is_missing_is_named_with_the_command_that_makes_it(tmp_path: Path) -> None:
    page = page_of(tmp_path)

    missing = re.findall(r"<li><strong>([\w*-]+)</strong>", page)
    assert missing == ["data", "evaluation", "fairness", "drift", "skew", "canary", "promotion"]
    assert "<code>make drift</code>" in page
    assert "What there is" not in page


def test_nothing_is_missing_when_all_is_there(tmp_path: Path) -> None:
    for report in REPORTS:
        write_json(tmp_path / f"{report.name.replace('*', 'prices')}.json", {})

    page = page_of(tmp_path)

    assert "every report that a release needs is there" in page
    assert "experiment-prices" in page


def test_a_report_that_cannot_be_read_has_no_verdict_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "drift.json").write_text("{")
    (tmp_path / "skew.html").write_text("<!doctype html>")

    page = page_of(tmp_path)

    assert "drift.json cannot be read" in row_of(page, "drift")
    assert "unknown" in row_of(page, "drift")
    assert "skew.json is not there" in row_of(page, "skew")


def test_files_that_nobody_knows_are_linked_and_their_names_do_nothing(tmp_path: Path) -> None:
    name = "<img src=x>.html"
    (tmp_path / name).write_text("")
    (tmp_path / ".hidden.json").write_text("")

    page = page_of(tmp_path)

    assert "<img" not in page
    assert '<a href="%3Cimg%20src%3Dx%3E.html">&lt;img src=x&gt;.html</a>' in page
    assert ".hidden" not in page
