from pathlib import Path

import pytest
from rich.console import Console

from monitoring.summary import print_summary, read_reports


def test_a_folder_that_does_not_exist_holds_no_reports(tmp_path: Path) -> None:
    reports = read_reports(tmp_path / "reports")

    assert (dict(reports.found), reports.damaged, reports.files) == ({}, frozenset(), ())


def test_reports_are_read_and_those_that_are_no_json_object_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data.json").write_text('{"dataset": "tiny"}')
    (tmp_path / "drift.json").write_text('{"verdict": ')
    (tmp_path / "canary.json").write_text("[]")
    (tmp_path / "latency.json").mkdir()
    (tmp_path / ".resources.json.lock").write_text("")

    reports = read_reports(tmp_path)

    assert dict(reports.found) == {"data": {"dataset": "tiny"}}
    assert reports.damaged == {"drift", "canary", "latency"}
    assert reports.files == ("canary.json", "data.json", "drift.json", "latency.json")
    assert reports.folder == "."


def test_a_long_sentence_is_left_unbroken_for_copying(tmp_path: Path) -> None:
    (tmp_path / "evaluation.json").write_text(
        '{"window": {"start": "1998-04-01T00:00:00+00:00"}, "example_user": "a-user-with-a-long-name"}'
    )
    console = Console(width=40, color_system=None)

    with console.capture() as capture:
        print_summary(tmp_path, console)

    assert capture.get().rstrip().endswith('"context": {"timestamp": "1998-04-01T00:00:00+00:00"}}\'')
    assert "\ncurl -s localhost:3000/recommend -H 'content-type: application/json' -d '{" in capture.get()
