"""The latency of a challenger is measured apart, and where it cannot be nothing looks measured."""

from pathlib import Path

import pytest

from feature_repo.core.workspace import Workspace
from k8s.latency import NotProbed, apart, measure_challenger


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    made = Workspace(root=tmp_path, store=tmp_path / "store")
    made.events.parent.mkdir(parents=True)
    made.events.write_text("events")
    made.request_log.mkdir()
    (made.request_log / "people.parquet").write_text("rows")
    (made.store / "blocked.csv").write_text("item_id\n")
    return made


def test_a_probe_reads_the_store_and_writes_into_another(workspace: Workspace) -> None:
    with apart(workspace) as folder:
        probed = Workspace(workspace.root, folder)
        assert probed.events.read_text() == "events"
        assert (folder / "blocked.csv").exists()
        assert not probed.request_log.exists()
        probed.request_log.mkdir()
        (probed.request_log / "probe.parquet").write_text("rows")

    assert [path.name for path in workspace.request_log.iterdir()] == ["people.parquet"]
    assert workspace.events.read_text() == "events"
    assert not folder.exists()


def test_without_a_challenger_there_is_nothing_to_measure(workspace: Workspace) -> None:
    said = measure_challenger(workspace, challenger=lambda: None, requests=20)

    assert said == "up to date: no challenger waits for a release"
    assert not workspace.reports.exists()


def test_a_probe_that_fails_is_an_error_and_leaves_no_report(
    workspace: Workspace, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(NotProbed, match="the probe of version 2 must end with status 0; got 2, for the reason above"):
        measure_challenger(workspace, challenger=lambda: "2", requests=20)

    assert capfd.readouterr().err.startswith("error: ")
    assert not workspace.reports.exists()
