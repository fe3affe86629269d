import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from drift_windows import slates

from feature_repo.core.errors import MissingArtifact, SettingsRefused
from feature_repo.core.workspace import Workspace
from feature_repo.dataset.request_log_schema import REQUEST_LOG_SCHEMA
from monitoring.drift.job import check_drift, current_windows
from monitoring.drift.policy import DriftPolicy

NOW = datetime(2026, 1, 5, tzinfo=UTC)
POLICY = DriftPolicy(minimum_requests=3)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(root=tmp_path, store=tmp_path / "store")


@pytest.fixture
def champion(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of version 7's bundle; the real registry takes seconds to import."""
    register(monkeypatch, "7", workspace.root)
    (workspace.root / "7").mkdir()
    return workspace.root / "7"


def register(monkeypatch: pytest.MonkeyPatch, version: str | None, folder: Path) -> None:
    registry = SimpleNamespace(
        version_of_alias=lambda _workspace, alias: version if alias == "champion" else None,
        download_bundle=lambda _workspace, number: folder / number,
        log_report=lambda *_: None,
    )
    monkeypatch.setitem(sys.modules, "training.registry", registry)


def log(workspace: Workspace, answers: int) -> None:
    rows = [
        {
            "request_id": f"r{number}",
            "received_at": NOW + timedelta(seconds=number),
            "moment": NOW,
            "user_id": "pseudonym",
            "variant": "stable",
            "model_version": "7",
            "degraded": [],
            "k": 1,
            "slate": ["a"],
            "candidates": ["a"],
            "sources": ["ease"],
            "scores": [0.5],
            "features": [[1.0]],
            "feature_names": ["age"],
        }
        for number in range(answers)
    ]
    workspace.request_log.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=REQUEST_LOG_SCHEMA), workspace.request_log / "a.parquet")


def test_without_a_current_window_the_sentence_names_the_command(workspace: Workspace, champion: Path) -> None:
    pq.write_table(slates(seed=1, requests=10), champion / "reference.parquet")

    with pytest.raises(MissingArtifact, match=r"^current-7\.parquet is not there: run `make evaluate` first"):
        check_drift(workspace, POLICY, now=NOW)


def test_without_a_champion_there_is_nothing_to_compare_with(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(monkeypatch, None, workspace.root)

    with pytest.raises(MissingArtifact, match=r"^no version is champion, .*: run `make train` first$"):
        check_drift(workspace, POLICY, now=NOW)


@pytest.mark.usefixtures("champion")
def test_a_bundle_without_a_reference_is_named(workspace: Workspace) -> None:
    with pytest.raises(MissingArtifact, match=r"^reference\.parquet is not there: run `make train` first"):
        check_drift(workspace, POLICY, now=NOW)


@pytest.mark.usefixtures("champion")
def test_an_unknown_source_is_refused_before_anything_is_read(workspace: Workspace) -> None:
    with pytest.raises(SettingsRefused, match=r"^source is log, window or auto; got 'stores'$"):
        check_drift(workspace, POLICY, source="stores", now=NOW)


@pytest.mark.parametrize(
    ("answers", "source", "judged"),
    [(5, "auto", "log"), (2, "auto", "window"), (2, "log", "log"), (5, "window", "window")],
)
def test_the_log_is_judged_where_it_holds_enough_or_is_asked_for(
    workspace: Workspace, answers: int, source: str, judged: str
) -> None:
    log(workspace, answers)
    workspace.reports.mkdir()
    pq.write_table(slates(seed=1, requests=10), workspace.reports / "current-7.parquet")

    current, previous = current_windows(workspace, "7", POLICY, source)

    assert (current.source, previous) == (judged, None)


def test_a_log_without_an_answer_of_the_version_is_named(workspace: Workspace) -> None:
    with pytest.raises(MissingArtifact, match=r"^the request log holds no answer of version 7: "):
        current_windows(workspace, "7", POLICY, "log")
