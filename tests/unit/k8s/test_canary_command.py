"""What `python -m k8s canary` refuses, and what it asks for."""

import sys
from pathlib import Path
from types import ModuleType

import pytest
from typer.testing import CliRunner

from feature_repo.core.workspace import Workspace
from k8s.__main__ import app
from k8s.laptop.choices import Fault, Users
from k8s.laptop.fault import proxy_command
from k8s.laptop.policy import LAPTOP
from k8s.laptop.run import begun, run_canary
from k8s.laptop.versions import ReleaseError, Versions, fetch_versions, versions_of
from k8s.release import serving_command


def test_aliases_are_resolved_to_numbers() -> None:
    assert versions_of({"champion": "3", "challenger": "5", "previous": "2"}) == Versions("3", "5")


def test_once_the_challenger_is_champion_a_rollout_rehearses_with_the_pair_as_it_was() -> None:
    """The README sends everybody from `make demo`, which promotes, to `make canary FAULT=worse`."""
    assert versions_of({"champion": "5", "previous": "3"}) == Versions("3", "5", decided=True)


@pytest.mark.parametrize(
    ("aliases", "sentence"),
    [
        ({"champion": "1"}, "a version with the alias challenger; aliases now: champion: `make train` registers one"),
        ({}, "a version with the alias champion; aliases now: none"),
        ({"champion": "2", "challenger": "2"}, "needs two versions; champion and challenger are both 2"),
    ],
)
def test_a_canary_without_two_versions_is_refused(aliases: dict[str, str], sentence: str) -> None:
    with pytest.raises(ReleaseError, match=sentence):
        versions_of(aliases)


def test_a_served_version_knows_a_number_a_port_and_its_side() -> None:
    words = serving_command("5", 3001, "canary")[1:]

    assert words == ["-m", "serving", "run", "--version", "5", "--port", "3001", "--variant", "canary"]


def test_the_fault_command_is_one_that_the_program_knows() -> None:
    words = proxy_command("http://127.0.0.1:1", 2, Fault.SLOW)[3:]

    told = CliRunner().invoke(app, [*words, "--help"])

    assert words == ["fault", "--upstream", "http://127.0.0.1:1", "--port", "2", "--kind", "slow"]
    assert told.exit_code == 0


def test_a_broken_policy_is_refused_before_the_registry_is_asked(tmp_path: Path) -> None:
    told = CliRunner().invoke(app, ["canary", "--policy", f"{tmp_path}/none.yaml"])

    assert "expected a readable YAML file" in str(told.exception)


def test_help_names_the_faults_and_the_ends() -> None:
    told = CliRunner().invoke(app, ["canary", "--help"], env={"COLUMNS": "200", "TERM": "dumb"})

    for word in ("--requests-per-step", "--fault", "nodata", "--users", "--policy", "ROLLED_BACK", "HALTED"):
        assert word in told.output


class Registry(ModuleType):
    """Two aliases, and the versions whose bundles were asked for. MLflow itself takes seconds to import."""

    def __init__(self) -> None:
        super().__init__("training.registry")
        self.fetched: list[str] = []

    def aliases(self, _workspace: Workspace) -> dict[str, str]:
        return {"champion": "3", "challenger": "5"}

    def download_bundle(self, workspace: Workspace, version: str) -> Path:
        self.fetched.append(version)
        return workspace.bundles / version


@pytest.mark.parametrize(
    ("champion", "challenger", "versions"),
    [(None, None, ["3", "5"]), ("1", "2", ["1", "2"]), (None, "4", ["3", "4"])],
)
def test_a_version_that_is_named_takes_the_place_of_its_alias(
    champion: str | None,
    challenger: str | None,
    versions: list[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    registry = Registry()
    monkeypatch.setitem(sys.modules, "training.registry", registry)
    workspace = Workspace(root=tmp_path, store=tmp_path)

    found = fetch_versions(workspace, champion=champion, challenger=challenger)

    assert [found.champion, found.challenger] == versions
    assert registry.fetched == versions


def test_an_interrupted_rollout_goes_on_under_its_own_fault_alone(tmp_path: Path) -> None:
    """What was seen under a fault once stood in a release that went on without it."""
    workspace = Workspace(root=tmp_path, store=tmp_path)
    rehearsal = begun(workspace, Versions("1", "2"), LAPTOP, Fault.ERRORS)

    again = begun(workspace, Versions("1", "2"), LAPTOP, Fault.ERRORS)
    release = begun(workspace, Versions("1", "2"), LAPTOP, Fault.NONE)

    assert again == rehearsal
    assert (rehearsal.name.rpartition("-")[0], release.name.rpartition("-")[0]) == ("1-2-errors", "1-2")


def test_a_worse_version_needs_people_who_click(tmp_path: Path) -> None:
    workspace = Workspace(root=tmp_path, store=tmp_path)

    with pytest.raises(ReleaseError, match="FAULT=worse needs people who click: USERS=simulated; got USERS=replay"):
        run_canary(workspace, Versions("1", "2"), LAPTOP, fault=Fault.WORSE, users=Users.REPLAY)
