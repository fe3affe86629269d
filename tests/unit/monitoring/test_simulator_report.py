"""simulator.html and simulator.json: complete, readable by a machine, and about the workspace's own log."""

import io
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from rich.console import Console

from feature_repo.core.errors import MissingArtifact
from feature_repo.core.workspace import Workspace
from feature_repo.dataset.declaration import load_dataset
from monitoring.simulator.dataset import write_dataset
from monitoring.simulator.log import simulate
from monitoring.simulator.make import make_world
from monitoring.simulator.report import compare, write_report
from monitoring.simulator.report_table import distance_table, feedback_table
from monitoring.simulator.settings import SimulatorSettings

NOW = datetime(2026, 3, 2, tzinfo=UTC)
STAGES: list[str] = []


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    folder = tmp_path_factory.mktemp("report")
    world = make_world(SimulatorSettings(events=1_500, users=60, items=120), seed=9)
    log = simulate(world, seed=9)
    dataset = load_dataset(str(write_dataset(world, log, folder / "shop")))
    workspace = Workspace(root=folder, store=folder / "store")
    workspace.events.parent.mkdir(parents=True)
    pq.write_table(log.events, workspace.events)
    workspace.events.with_name("dataset.json").write_text(dataset.model_dump_json())
    return workspace


@pytest.fixture(scope="module")
def report(workspace: Workspace) -> dict[str, Any]:
    return write_report(workspace, seed=1, now=NOW, rounds=4, on_stage=STAGES.append)


def test_the_report_says_how_far_each_log_is_in_each_shape(workspace: Workspace, report: dict[str, Any]) -> None:
    written = json.loads((workspace.reports / "simulator.json").read_text())

    assert written == json.loads(json.dumps(report))
    assert written["dataset"] == "simulated"
    assert set(written["distances"]) == {"default settings", "fitted settings"}
    assert all(0 <= far <= 1 for shapes in written["distances"].values() for far in shapes.values())
    assert written["logs"]["real"]["events"] == 1_500
    assert [way["thompson"] for way in written["feedback"]] == [False, False, True]
    assert written["feedback"][0]["by_round"]["bubble"][0] is None
    assert STAGES[0] == "measuring the real log"
    assert len(STAGES) == 5


@pytest.mark.usefixtures("report")
def test_the_page_has_every_plot_named_and_loads_nothing_from_elsewhere(workspace: Workspace) -> None:
    page = (workspace.reports / "simulator.html").read_text()

    assert page.count('<svg role="img" aria-label=') == 10
    assert "Thompson sampling" in page
    targets = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert targets
    assert all(target.startswith(("data:", "#")) for target in targets)


def test_the_tables_on_screen_say_the_same(report: dict[str, Any]) -> None:
    console = Console(width=160, record=True, file=io.StringIO())

    console.print(distance_table(report))
    console.print(feedback_table(report))

    said = console.export_text()
    assert f"{report['distances']['fitted settings']['repeat share']:.2f}" in said
    assert f"{report['feedback'][2]['last_quarter']['click_rate']:.4f}" in said


def test_a_workspace_without_data_is_refused_with_the_command_that_makes_them(tmp_path: Path) -> None:
    with pytest.raises(MissingArtifact, match="run `make data` first"):
        compare(Workspace(tmp_path, tmp_path), seed=1)
