from pathlib import Path
from typing import Any

import pytest
from serving_world import write_bundle

from feature_repo.core.errors import MissingArtifact
from feature_repo.core.workspace import Workspace, write_json
from training import registry
from training.evaluate import pair, up_to_date

pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """Champion 1, challenger 2, and a report that compares them on the present data."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    workspace = Workspace(root=tmp_path, store=tmp_path / "store")
    write_bundle(tmp_path / "bundle")
    for key in "ab":
        registry.register(workspace, tmp_path / "bundle", key=key, parameters={}, history={})
    write_json(workspace.reports / "data.json", {"fingerprint": "monday"})
    report(workspace)
    return workspace


def report(workspace: Workspace, **changes: Any) -> None:
    about = {"champion": "1", "challenger": "2", "data_fingerprint": "monday", "segments": [], **changes}
    write_json(workspace.reports / "evaluation.json", about)


def test_a_report_on_the_present_pair_and_data_need_not_be_made_again(workspace: Workspace) -> None:
    assert up_to_date(workspace) is not None

    registry.move_champion(workspace, to="2", expected="1", reason={})
    assert up_to_date(workspace) is not None


def test_new_data_or_another_pair_make_a_report_stale(workspace: Workspace) -> None:
    write_json(workspace.reports / "data.json", {"fingerprint": "tuesday"})
    assert up_to_date(workspace) is None

    report(workspace, data_fingerprint="tuesday", challenger="3")
    assert up_to_date(workspace) is None


def test_a_rolled_back_promotion_makes_its_report_stale(workspace: Workspace) -> None:
    registry.move_champion(workspace, to="2", expected="1", reason={})
    registry.move_champion(workspace, to="1", expected="2", reason={})

    assert up_to_date(workspace) is None


def test_without_a_champion_there_is_nothing_to_evaluate(tmp_path: Path) -> None:
    with pytest.raises(MissingArtifact, match="no version is champion yet: run `make train` first"):
        pair(Workspace(root=tmp_path, store=tmp_path / "store"))
