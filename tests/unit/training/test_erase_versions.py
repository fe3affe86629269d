"""Versions that hold a person, against a real MLflow on SQLite; what trains again is a bundle made by hand."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from erasable_workspace import current
from hypothesis import given
from hypothesis import strategies as st
from mlflow.entities import ViewType
from serving_world import write_bundle

from feature_repo.core.errors import MissingArtifact
from feature_repo.core.workspace import Workspace, write_json
from training import registry
from training.bundle import MANIFEST, read_manifest, seal
from training.erase.person import Person
from training.erase.retrain import settings_of
from training.erase.versions import Versions, known_versions
from training.settings import TrainingSettings

pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")
PERSON = Person("u7", "the keyed hash", distinctive=False)


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`known`: u7 is in the vocabulary. `shown`: in the reference sample. `without`: in neither."""
    folder = tmp_path_factory.mktemp("bundles")
    write_bundle(folder / "known")
    for name in ("without", "shown"):
        shutil.copytree(folder / "known", folder / name)
        manifest = json.loads((folder / name / MANIFEST).read_text())
        encoder = json.loads((folder / name / "encoder.json").read_text())
        encoder["user_ids"].remove("u7")
        (folder / name / "encoder.json").write_text(json.dumps(encoder))
        users = ("u1", "u7") if name == "shown" else ("u1",)
        pq.write_table(current(users), folder / name / "reference.parquet")
        seal(folder / name, {key: value for key, value in manifest.items() if key not in ("files", "format")})
    return folder


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return Workspace(root=tmp_path, store=tmp_path / "store")


def register(workspace: Workspace, folder: Path, replaces: str | None = None) -> str:
    return registry.register(workspace, folder, key=folder.name, parameters={}, history={}, replaces=replaces)


class Swap:
    """Registers a bundle without the person where a version is to be trained again."""

    def __init__(self, workspace: Workspace, clean: Path, then: Callable[[], object] = lambda: None) -> None:
        self._workspace, self._clean, self._then = workspace, clean, then
        self.replaced: dict[str, str | None] = {}

    def in_place_of(self, version: str) -> None:
        aliased = version in registry.aliases(self._workspace).values()
        self.replaced[version] = register(self._workspace, self._clean, replaces=version) if aliased else None
        self._then()


def erased(workspace: Workspace, swap: Swap) -> Versions:
    return Versions(workspace, PERSON, swap)  # type: ignore[arg-type]


def test_versions_that_hold_the_person_are_replaced_under_their_aliases_and_retired(
    workspace: Workspace, bundles: Path
) -> None:
    for name in ("known", "without", "shown"):
        register(workspace, bundles / name)
    registry.move_champion(workspace, to="3", expected="1", reason={})  # 3 champion, 1 previous, 2 without an alias
    register(workspace, bundles / "known")  # 4 challenger
    for version in ("1", "2", "3"):
        registry.download_bundle(workspace, version)
    swap = Swap(workspace, bundles / "without")
    store = erased(workspace, swap)
    assert store.find() > 0

    removed = store.erase()

    assert removed == 3
    assert set(swap.replaced) == {"1", "3", "4"}
    new = {old: number for old, number in swap.replaced.items() if number}
    assert registry.aliases(workspace) == {"champion": new["3"], "previous": new["1"], "challenger": new["4"]}
    assert known_versions(workspace) == {"2", *new.values()}
    assert store.find() == 0
    assert {folder.name for folder in workspace.bundles.iterdir()} == {"2", *new.values()}
    assert len(list((workspace.mlflow / "artifacts").glob("*/artifacts"))) == 4
    lines = [json.loads(line) for line in (workspace.mlflow / "audit.jsonl").read_text().splitlines()]
    retired = [line for line in lines if line["event"] == "retired"]
    assert {line["version"] for line in retired} == {"1", "3", "4"}
    assert {line["erased"] for line in retired} == {"the keyed hash"}
    assert store.erase() == 0


def test_a_run_that_was_killed_before_it_had_a_version_loses_its_bundle(workspace: Workspace, bundles: Path) -> None:
    register(workspace, bundles / "without")
    client = registry.connect(workspace)
    experiment = client.get_experiment_by_name(registry.MODEL)
    run = client.create_run(experiment.experiment_id)
    client.log_artifacts(run.info.run_id, str(bundles / "known"), registry.BUNDLE)
    client.delete_run(run.info.run_id)  # and a deleted run keeps its files
    store = erased(workspace, Swap(workspace, bundles / "without"))

    assert store.erase() == 1

    assert store.find() == 0
    runs = client.search_runs([experiment.experiment_id], run_view_type=ViewType.ACTIVE_ONLY)
    assert len(runs) == 1
    assert client.list_artifacts(run.info.run_id) == []


def test_a_report_of_a_version_that_stays_is_removed_where_it_names_the_person(
    workspace: Workspace, bundles: Path
) -> None:
    version = register(workspace, bundles / "without")
    for name, report in (("evaluation.json", {"example_user": "u7"}), ("drift.json", {"example_user": "u17"})):
        write_json(workspace.reports / name, report)
        registry.log_report(workspace, version, workspace.reports / name)
    store = erased(workspace, Swap(workspace, bundles / "without"))

    assert store.erase() == 0

    client = registry.connect(workspace)
    run_id = client.get_model_version(registry.MODEL, version).run_id
    assert [file.path for file in client.list_artifacts(run_id, "reports")] == ["reports/drift.json"]
    assert read_manifest(registry.download_bundle(workspace, version))


def test_a_version_that_becomes_aliased_while_it_is_to_go_is_not_taken_away(
    workspace: Workspace, bundles: Path
) -> None:
    register(workspace, bundles / "known")
    client = registry.connect(workspace)
    swap = Swap(
        workspace,
        bundles / "without",
        then=lambda: client.set_registered_model_alias(registry.MODEL, "challenger", "1"),
    )

    with pytest.raises(MissingArtifact, match="version 1 was given an alias meanwhile: run the same command again"):
        erased(workspace, swap).erase()

    assert registry.aliases(workspace) == {"champion": "2", "challenger": "1"}


def test_a_registry_and_artefacts_in_another_place_are_erased_too(
    workspace: Workspace, bundles: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'elsewhere.db'}")
    monkeypatch.setenv("MLFLOW_DEFAULT_ARTIFACT_ROOT", (tmp_path / "mlruns").as_uri())
    register(workspace, bundles / "known")
    shutil.rmtree(workspace.bundles)
    store = erased(workspace, Swap(workspace, bundles / "without"))
    assert store.find() > 0

    assert store.erase() == 1

    assert store.find() == 0
    assert known_versions(workspace) == {"2"}
    assert len(list(tmp_path.glob("mlruns/**/encoder.json"))) == 1


def test_a_workspace_that_never_registered_anything_gets_no_registry(workspace: Workspace, bundles: Path) -> None:
    store = erased(workspace, Swap(workspace, bundles / "without"))

    assert (store.find(), store.erase()) == (0, 0)
    assert known_versions(workspace) == set()
    assert not workspace.mlflow.exists()


@given(seed=st.integers(0, 99), share=st.floats(0.01, 0.5), epochs=st.integers(1, 9), rate=st.floats(1e-6, 1))
def test_the_settings_of_a_run_are_read_back_from_its_parameters(
    seed: int, share: float, epochs: int, rate: float
) -> None:
    plain = TrainingSettings()
    tower = plain.tower.model_copy(update={"epochs": epochs, "learning_rate": rate})
    settings = plain.model_copy(update={"seed": seed, "ranker_share": share, "tower": tower})
    logged = {name: str(value) for name, value in flat(settings.model_dump()).items()}

    assert settings_of({**logged, "dataset": "shop", "of another time": "1"}) == settings


def flat(values: dict[str, object], prefix: str = "") -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in values.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return found
