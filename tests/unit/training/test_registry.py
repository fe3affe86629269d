"""Against a real MLflow on SQLite."""

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from serving_world import write_bundle

from feature_repo.core.errors import MissingArtifact
from feature_repo.core.workspace import Workspace
from feature_repo.store.pins import read_pins
from training import registry
from training.bundle import load_bundle
from training.promote import rollback
from training.registry import MoveRefused, versions

pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")
NOW = datetime(2024, 5, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundles") / "bundle"
    write_bundle(folder)
    return folder


@pytest.fixture(scope="module")
def empty_registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow's tables: making them anew for every test would take most of the time."""
    folder = tmp_path_factory.mktemp("empty")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        assert registry.aliases(Workspace(root=folder, store=folder / "store")) == {}
    return folder / "mlflow"


@pytest.fixture
def workspace(tmp_path: Path, empty_registry: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copytree(empty_registry, tmp_path / "mlflow")
    return Workspace(root=tmp_path, store=tmp_path / "store")


def register(workspace: Workspace, bundle: Path, key: str) -> str:
    return registry.register(workspace, bundle, key=key, parameters={"seed": 1}, history={"loss": [(0, 2.0), (1, 1.0)]})


def test_the_first_version_is_champion_and_the_next_one_challenger(workspace: Workspace, bundle: Path) -> None:
    assert registry.aliases(workspace) == {}

    first, second = register(workspace, bundle, "a"), register(workspace, bundle, "b")

    assert (first, second) == ("1", "2")
    assert registry.aliases(workspace) == {"champion": "1", "challenger": "2"}
    assert registry.version_with_key(workspace, "b") == "2"
    assert registry.version_with_key(workspace, "c") is None


def test_a_registration_that_was_killed_is_not_taken_for_a_finished_one(
    workspace: Workspace, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once a version without an alias counted as up to date, and the workspace never got a champion."""
    with monkeypatch.context() as patched:
        patched.setattr(versions, "audit", _die)
        with pytest.raises(KeyboardInterrupt):
            register(workspace, bundle, "a")

    assert registry.version_with_key(workspace, "a") is None


def _die(*_: object) -> None:
    raise KeyboardInterrupt


def test_whoever_moves_an_alias_pins_what_the_aliased_versions_read(workspace: Workspace, bundle: Path) -> None:
    register(workspace, bundle, "a"), register(workspace, bundle, "b")
    registry.move_champion(workspace, to="2", expected="1", reason={})

    pins = read_pins(workspace)

    assert set(pins) == {"champion, version 2,", "previous, version 1,"}
    assert pins["champion, version 2,"]["history_items"] == "list<string>"


def test_a_run_says_what_the_version_was_made_of(workspace: Workspace, bundle: Path) -> None:
    version = register(workspace, bundle, "a")

    client = registry.connect(workspace)
    run = client.get_run(client.get_model_version(registry.MODEL, version).run_id)
    assert run.data.params["data_fingerprint"] == "made by hand"
    assert run.data.params["feature_services"] == "retrieval,ranking"
    assert [m.value for m in client.get_metric_history(run.info.run_id, "loss")] == [2.0, 1.0]


def test_a_run_says_which_rows_its_data_were_made_of(workspace: Workspace, bundle: Path) -> None:
    data = {
        "dataset": "shop",
        "read": 10,
        "events": 8,
        "users": 2,
        "items": 3,
        "received": 4,
        "refused": {"user_id is missing": 2},
        "refused_entities": {},
        "fingerprint": "f",
    }

    version = registry.register(workspace, bundle, key="a", parameters={}, history={}, data=data)

    client = registry.connect(workspace)
    run_id = client.get_model_version(registry.MODEL, version).run_id
    metrics = client.get_run(run_id).data.metrics
    assert (metrics["data_read"], metrics["data_kept"], metrics["data_quarantined"]) == (10, 8, 2)
    assert metrics["data_refused_user_id_is_missing"] == 2
    table = Path(client.download_artifacts(run_id, "reports/data.md")).read_text()
    assert "| user_id is missing | 2 | 20.00 % |" in table


def test_a_downloaded_bundle_is_the_registered_one(workspace: Workspace, bundle: Path) -> None:
    version = register(workspace, bundle, "a")

    folder = registry.download_bundle(workspace, version)

    assert folder == workspace.bundles / "1"
    assert load_bundle(folder).manifest == load_bundle(bundle).manifest
    with pytest.raises(MissingArtifact, match="no version '99' of recommender: run `make train`"):
        registry.download_bundle(workspace, "99")


def test_a_promotion_moves_three_aliases_and_a_rollback_undoes_it(workspace: Workspace, bundle: Path) -> None:
    register(workspace, bundle, "a"), register(workspace, bundle, "b")

    registry.move_champion(workspace, to="2", expected="1", reason={"verdict": "PASS"})
    assert registry.aliases(workspace) == {"champion": "2", "previous": "1"}

    move = rollback(workspace, deployer=None, now=NOW)

    assert (move.kind, move.phase, move.old, move.new) == ("rollback", "DONE", "2", "1")
    assert registry.aliases(workspace) == {"champion": "1", "previous": "2"}
    lines = (workspace.mlflow / "audit.jsonl").read_text().splitlines()
    moves = ["move intended", "champion moved"] * 2
    assert [json.loads(line)["event"] for line in lines] == ["registered", "registered", *moves]


def test_a_promotion_that_was_killed_half_way_is_completed_by_the_same_call(workspace: Workspace, bundle: Path) -> None:
    register(workspace, bundle, "a"), register(workspace, bundle, "b")
    client = registry.connect(workspace)
    client.set_registered_model_alias(registry.MODEL, "previous", "1")
    client.set_registered_model_alias(registry.MODEL, "champion", "2")  # and here it was killed

    registry.move_champion(workspace, to="2", expected="1", reason={})

    assert registry.aliases(workspace) == {"champion": "2", "previous": "1"}


def test_a_decision_about_a_champion_of_the_past_moves_nothing(workspace: Workspace, bundle: Path) -> None:
    for key in "abc":
        register(workspace, bundle, key)
    registry.move_champion(workspace, to="2", expected="1", reason={})

    with pytest.raises(MoveRefused, match="expected version 1 to be champion; it is 2: decide anew"):
        registry.move_champion(workspace, to="3", expected="1", reason={})

    assert registry.aliases(workspace)["champion"] == "2"


def test_there_is_nothing_to_roll_back_before_the_first_promotion(workspace: Workspace, bundle: Path) -> None:
    register(workspace, bundle, "a")

    with pytest.raises(MissingArtifact, match="no previous champion to go back to"):
        rollback(workspace, deployer=None, now=NOW)
