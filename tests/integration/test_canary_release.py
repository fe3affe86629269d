"""A whole rollout over real processes and a real Traefik; only the model behind the endpoints is missing."""

import json
import os
import re
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
from k8s.laptop.choices import Fault, Users
from k8s.laptop.policy import LAPTOP
from k8s.laptop.run import run_canary
from k8s.laptop.versions import Versions
from k8s.policy.rules import RolloutPolicy
from k8s.release import Serve
from k8s.rollout.command import local_store
from k8s.rollout.step import Order, ordered
from k8s.rollout.store import change

pytestmark = pytest.mark.integration

POD = Path(__file__).with_name("canary_pod.py")
# A rollout that would go on for a minute.
ENDLESS = """
import sys
sys.path.insert(0, {here!r})
from test_canary_release import VERSIONS, pods, quick
from feature_repo.core.workspace import Workspace
from k8s.laptop.run import run_canary
workspace = Workspace.from_env()
run_canary(workspace, VERSIONS, quick(min_requests=50_000), serve=pods(workspace))
"""
VERSIONS = Versions(champion="1", challenger="2")
START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Events a second apart; the last 3,000 are held out: more than a release with a fault needs on a fast machine."""
    workspace = Workspace(root=tmp_path / "build", store=tmp_path / "build" / "store")
    workspace.events.parent.mkdir(parents=True)
    moments = [START + timedelta(seconds=second) for second in range(5000)]
    columns = {
        "user_id": [str(second * 31 % 1009) for second in range(5000)],
        "item_id": [str(second % 20 + 1) for second in range(5000)],
        "timestamp": pa.array(moments, pa.timestamp("us", "UTC")),
        "score": [1.0] * 5000,
    }
    pq.write_table(pa.table(columns), workspace.events)
    mapped = {"user_id": "u", "item_id": "i", "timestamp": "t"}
    declared = Dataset(name="tiny", events=Events(path="-", columns=mapped, event_type="view"), weights={"view": 1.0})
    workspace.events.with_name("dataset.json").write_text(declared.model_dump_json())
    cuts = {"start": 0, "champion_end": 1000, "challenger_end": 2000, "test_end": 5000}
    write_json(workspace.events.with_name("split.json"), {name: moments_at(at) for name, at in cuts.items()})
    return workspace


def moments_at(second: int) -> str:
    return (START + timedelta(seconds=second)).isoformat()


@pytest.fixture
def serve(workspace: Workspace) -> Serve:
    workspace.request_log.mkdir(parents=True)
    return pods(workspace)


def pods(workspace: Workspace) -> Serve:
    def command(version: str, port: int, variant: str) -> list[str]:
        return [sys.executable, str(POD), version, str(port), variant, str(workspace.request_log)]

    return command


def slow_pods(workspace: Workspace, seconds: dict[str, float]) -> Serve:
    """Pods whose answers take so long, by their variant."""

    def command(version: str, port: int, variant: str) -> list[str]:
        return ["env", f"ANSWER_SECONDS={seconds[variant]}", *pods(workspace)(version, port, variant)]

    return command


def serve_no_canary(version: str, port: int, variant: str) -> list[str]:
    if variant == "canary":
        return [sys.executable, "-c", "raise SystemExit('no such bundle')"]
    return [sys.executable, str(POD), version, str(port), variant]


def quick(**canary: object) -> RolloutPolicy:
    """The laptop's policy without a shadow, and with other values of its canary part."""
    changed = LAPTOP.canary.model_dump(mode="json") | canary
    return RolloutPolicy.model_validate({"shadow": None, "canary": changed})


def test_an_equal_challenger_is_shadowed_and_promoted_and_no_request_fails(workspace: Workspace, serve: Serve) -> None:
    report = run_canary(workspace, VERSIONS, LAPTOP, serve=serve)

    shadow = json.loads((workspace.reports / "shadow.json").read_text())
    assert (report["end_state"], report["verdict"]) == ("PROMOTED", "PASS")
    assert [step["weight"] for step in report["steps"]] == [20, 50]
    assert sum(step["failed"] for step in report["steps"]) == 0
    assert report["sticky_share"] == pytest.approx(0.5, abs=0.1)
    clicks = report["steps"][1]["quality"]["clicks"]
    assert clicks["canary"]["impressions"] > 1000
    assert (shadow["verdict"], shadow["pairs"]["overlap"]) == ("PASS", 1.0)
    assert json.loads((workspace.reports / "canary.json").read_text()) == json.loads(json.dumps(report))
    assert "PROMOTED" in (workspace.reports / "canary.html").read_text()


def test_copies_do_not_queue_before_a_canary_that_is_a_little_slower_than_the_stable(workspace: Workspace) -> None:
    workspace.request_log.mkdir(parents=True)
    policy = LAPTOP.model_copy(update={"canary": quick(steps=[20], clicks=None, saturation=None).canary})
    serve = slow_pods(workspace, {"stable": 0.010, "canary": 0.013})

    report = run_canary(workspace, VERSIONS, policy, users=Users.REPLAY, serve=serve)

    shadow = json.loads((workspace.reports / "shadow.json").read_text())
    assert (shadow["verdict"], report["end_state"]) == ("PASS", "PROMOTED")


@pytest.mark.parametrize(
    ("fault", "end", "measure"),
    [
        (Fault.ERRORS, "ROLLED_BACK", "errors: canary .* (FAIL)"),
        (Fault.NODATA, "HALTED", "canary: no evidence: /metrics answered 404"),
    ],
)
def test_each_fault_has_its_end(workspace: Workspace, serve: Serve, fault: Fault, end: str, measure: str) -> None:
    policy = quick(steps=[30], max_silence="2 s", clicks=None)

    report = run_canary(workspace, VERSIONS, policy, fault=fault, users=Users.REPLAY, serve=serve)

    assert report["end_state"] == end
    assert len(report["steps"]) == 1
    assert report["rehearsal"] == f"FAULT={fault}: {fault.told}"
    assert {file.name for file in workspace.reports.glob("*.*")} == {"rehearsal.json", "rehearsal.html"}
    assert fault.told in (workspace.reports / "rehearsal.html").read_text()
    assert any(re.search(re.sub("[()]", r"[()]", measure), reason) for reason in report["reasons"])


def test_events_that_run_out_before_the_evidence_is_enough_halt_the_rollout(workspace: Workspace, serve: Serve) -> None:
    policy = quick(min_requests=5000)

    report = run_canary(workspace, VERSIONS, policy, users=Users.REPLAY, serve=serve)

    assert (report["end_state"], report["verdict"]) == ("HALTED", "INCONCLUSIVE")
    # Slates hold items 1 to 10 of the 20 that users chose in turn.
    assert report["steps"][0]["hit_rate"]["stable"] == pytest.approx(0.5, abs=0.1)


def test_a_challenger_that_never_comes_up_halts_before_any_traffic(workspace: Workspace) -> None:
    report = run_canary(workspace, VERSIONS, LAPTOP, serve=serve_no_canary)

    assert (report["end_state"], report["steps"]) == ("HALTED", [])
    assert "no such bundle" in report["reasons"][0]


def test_no_process_outlives_a_rollout_that_was_told_to_end(workspace: Workspace, tmp_path: Path) -> None:
    driver = driven(workspace, tmp_path)
    wait_for((workspace.root / "logs" / "traefik.log").exists)

    driver.send_signal(signal.SIGTERM)

    assert driver.wait(timeout=20) == 128 + signal.SIGTERM
    wait_for(lambda: not processes_of(workspace))
    assert not processes_of(workspace)


def test_a_rollout_that_is_killed_goes_on_at_its_step_and_takes_an_order(workspace: Workspace, tmp_path: Path) -> None:
    """Killed in its step of 10 %, the next call goes on there; a person who calls it off is heard."""
    driver = driven(workspace, tmp_path)
    wait_for(lambda: state(workspace) == "CANARY")
    driver.send_signal(signal.SIGKILL)
    assert driver.wait(timeout=20) == -signal.SIGKILL
    wait_for(lambda: not processes_of(workspace))
    (workspace.reports / "canary.json").unlink(missing_ok=True)

    again = driven(workspace, tmp_path)
    wait_for(lambda: len(processes_of(workspace)) > 3)
    change(local_store(workspace), lambda held: ordered(held, Order.ABORT, by="ann", now=datetime.now(UTC)))

    assert again.wait(timeout=20) == 0
    report = json.loads((workspace.reports / "canary.json").read_text())
    assert (report["end_state"], report["reasons"]) == ("ROLLED_BACK", ["abort by ann"])
    assert [move["event"] for move in report["history"]] == ["READY", "ABORT"]


def driven(workspace: Workspace, folder: Path) -> subprocess.Popen[bytes]:
    """A rollout that would go on for a minute, in a process of its own."""
    workspace.request_log.mkdir(parents=True, exist_ok=True)
    script = folder / "release.py"
    script.write_text(ENDLESS.format(here=str(POD.parent)))
    env = {**os.environ, "BUILD": str(workspace.root), "STORE_URL": str(workspace.store)}
    return subprocess.Popen([sys.executable, str(script)], env=env, stderr=subprocess.DEVNULL)


def state(workspace: Workspace) -> str:
    held = local_store(workspace).load()
    return held[0].state.value if held else "none"


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
