import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from feature_repo.core.errors import MissingArtifact
from feature_repo.core.workspace import Workspace
from monitoring.drift import DriftPolicy
from monitoring.drift_job import check_drift


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(root=tmp_path, store=tmp_path / "store")


def registry(champion: str | None, bundle: Path) -> SimpleNamespace:
    """A registry whose champion lies in a folder; the real one takes seconds to import."""
    return SimpleNamespace(
        version_of_alias=lambda _workspace, alias: champion if alias == "champion" else None,
        download_bundle=lambda _workspace, version: bundle / version,
        log_report=lambda *_: None,
    )


def test_without_a_current_window_the_sentence_names_the_command(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "training.registry", registry("7", workspace.root))
    (workspace.root / "7").mkdir()
    (workspace.root / "7" / "reference.parquet").touch()

    with pytest.raises(MissingArtifact, match=r"^current-7\.parquet is not there: run `make evaluate` first"):
        check_drift(workspace, DriftPolicy())


def test_without_a_champion_there_is_nothing_to_compare_with(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "training.registry", registry(None, workspace.root))

    with pytest.raises(MissingArtifact, match=r"^no version is champion, .*: run `make train` first$"):
        check_drift(workspace, DriftPolicy())


def test_a_bundle_without_a_reference_is_named(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "training.registry", registry("7", workspace.root))

    with pytest.raises(MissingArtifact, match=r"^reference\.parquet is not there: run `make train` first"):
        check_drift(workspace, DriftPolicy())
