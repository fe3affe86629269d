"""A whole rollout over real processes and a real Traefik; only the model behind the endpoints is missing."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from feature_repo.core.workspace import Workspace, write_json
from feature_repo.dataset.declaration import Dataset, Events
from k8s.canary import run_canary
from k8s.fault import Fault
from k8s.policy import Policy
from k8s.release import Versions

pytestmark = pytest.mark.integration

POD = Path(__file__).with_name("canary_pod.py")
# A rollout that would go on for a minute.
ENDLESS = """
import sys
sys.path.insert(0, {here!r})
from test_canary_release import VERSIONS, serve
from feature_repo.core.workspace import Workspace
from k8s.canary import run_canary
from k8s.policy import Policy
policy = Policy(min_canary_requests=5000, max_step_requests=99999)
run_canary(Workspace.from_env(), VERSIONS, policy, serve=serve)
"""
VERSIONS = Versions(champion="1", challenger="2")
START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Four thousand events, a second apart; the last half is held out."""
    workspace = Workspace(root=tmp_path / "build", store=tmp_path / "build" / "store")
    workspace.events.parent.mkdir(parents=True)
    moments = [START + timedelta(seconds=second) for second in range(4000)]
    columns = {
        "user_id": [str(second % 7) for second in range(4000)],
        "item_id": [str(second % 20 + 1) for second in range(4000)],
        "timestamp": pa.array(moments, pa.timestamp("us", "UTC")),
    }
    pq.write_table(pa.table(columns), workspace.events)
    mapped = {"user_id": "u", "item_id": "i", "timestamp": "t"}
    declared = Dataset(name="tiny", events=Events(path="-", columns=mapped, event_type="view"), weights={"view": 1.0})
    workspace.events.with_name("dataset.json").write_text(declared.model_dump_json())
    cuts = {"start": 0, "champion_end": 1000, "challenger_end": 2000, "test_end": 4000}
    write_json(workspace.events.with_name("split.json"), {name: moments_at(at) for name, at in cuts.items()})
    return workspace


def moments_at(second: int) -> str:
    return (START + timedelta(seconds=second)).isoformat()


def serve(version: str, port: int, variant: str) -> list[str]:
    return [sys.executable, str(POD), version, str(port), variant]


def serve_no_canary(version: str, port: int, variant: str) -> list[str]:
    missing = [sys.executable, "-c", "raise SystemExit('no such bundle')"]
    return missing if variant == "canary" else serve(version, port, variant)


def test_an_equal_challenger_is_promoted_and_no_request_fails(workspace: Workspace) -> None:
    policy = Policy(steps=(20, 100), min_canary_requests=140)

    report = run_canary(workspace, VERSIONS, policy, serve=serve)

    assert report["end_state"] == "PROMOTED"
    assert [step["weight"] for step in report["steps"]] == [20, 100]
    assert sum(step["failed"] for step in report["steps"]) == 0
    assert report["steps"][1]["stable"]["window"] == "earlier steps"
    # Slates hold items 1 to 10 of the 20 that users chose in turn.
    assert report["steps"][0]["hit_rate"] == {
        "stable": pytest.approx(0.5, abs=0.1),
        "canary": pytest.approx(0.5, abs=0.2),
        "label": "replay",
    }
    assert json.loads((workspace.reports / "canary.json").read_text()) == report
    assert "PROMOTED" in (workspace.reports / "canary.html").read_text()


@pytest.mark.parametrize("fault", [Fault.ERRORS, Fault.SLOW])
def test_a_faulty_challenger_is_rolled_back_at_its_first_step(workspace: Workspace, fault: Fault) -> None:
    policy = Policy(steps=(20, 100), min_canary_requests=140)

    report = run_canary(workspace, VERSIONS, policy, fault=fault, serve=serve)

    assert report["end_state"] == "ROLLED_BACK"
    assert [step["verdict"] for step in report["steps"]] == ["FAIL"]


def test_events_that_run_out_before_the_evidence_is_enough_halt_the_rollout(workspace: Workspace) -> None:
    policy = Policy(steps=(10, 100), min_canary_requests=1000, max_step_requests=100_000)

    report = run_canary(workspace, VERSIONS, policy, serve=serve)

    assert report["end_state"] == "HALTED"
    assert any("of at least 1000 requests so far" in reason for reason in report["reasons"])


def test_a_challenger_that_never_comes_up_halts_before_any_traffic(workspace: Workspace) -> None:
    report = run_canary(workspace, VERSIONS, Policy(max_step_seconds=10), serve=serve_no_canary)

    assert report["end_state"] == "HALTED"
    assert report["steps"] == []
    assert "no such bundle" in report["reasons"][0]


@pytest.mark.parametrize(
    ("number", "status"),
    [
        (signal.SIGTERM, 128 + signal.SIGTERM),
        (signal.SIGINT, -signal.SIGINT),
        (signal.SIGKILL, -signal.SIGKILL),
    ],
)
def test_no_process_outlives_a_rollout_that_was_told_to_end(
    workspace: Workspace, tmp_path: Path, number: signal.Signals, status: int
) -> None:
    script = tmp_path / "release.py"
    script.write_text(ENDLESS.format(here=str(POD.parent)))
    env = {**os.environ, "BUILD": str(workspace.root), "STORE_URL": str(workspace.store)}
    driver = subprocess.Popen([sys.executable, str(script)], env=env, stderr=subprocess.DEVNULL)
    wait_for((workspace.root / "logs" / "traefik.log").exists)

    driver.send_signal(number)

    assert driver.wait(timeout=20) == status
    wait_for(lambda: not processes_of(workspace))
    assert not processes_of(workspace)


def wait_for(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.05)


def processes_of(workspace: Workspace) -> list[str]:
    """Command lines of whatever still runs with this workspace as its environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            mine = str(workspace.root).encode() in (process / "environ").read_bytes()
        except OSError:
            continue
        if mine:
            found.append((process / "cmdline").read_text())
    return found
