"""The controller as the process that a pod runs: killed and started again, asked how it is, and told to leave."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from cluster_release import moves, weights
from cluster_world import World, fake_world

from feature_repo.core.workspace import PROJECT, read_json
from k8s.cluster.deployer import DeploymentDeployer
from k8s.cluster.state_store import ConfigMapStore
from k8s.loopback import loopback_client
from k8s.policy.rules import CanaryPolicy, RolloutPolicy
from k8s.rollout.rollout import Rollout

pytestmark = pytest.mark.integration
PORT = 3000  # the manifests': the process has no other
POLICY = RolloutPolicy(
    shadow=None,
    canary=CanaryPolicy(steps=(5, 50), clicks=None, conversions=None, min_time="0.1 s", deadline="10 min"),
)


class Traffic:
    """What the pods of both variants count: some thousand requests more at every look, all of them good and quick."""

    def __init__(self) -> None:
        self._requests = 0
        self._lock = threading.Lock()

    def metrics(self, _: str) -> str:
        with self._lock:
            self._requests += 4_000
            n = self._requests
        return (
            "# TYPE recommend_requests_total counter\n"
            f'recommend_requests_total{{code="200"}} {n}\n'
            "# TYPE recommend_degraded_total counter\n"
            "# TYPE recommend_duration_seconds histogram\n"
            f'recommend_duration_seconds_bucket{{le="0.005"}} {n // 2}\n'
            f'recommend_duration_seconds_bucket{{le="0.01"}} {n}\n'
            f'recommend_duration_seconds_bucket{{le="0.02"}} {n}\n'
            f'recommend_duration_seconds_bucket{{le="+Inf"}} {n}\n'
            f"recommend_duration_seconds_count {n}\nrecommend_duration_seconds_sum {n * 0.005}\n"
            f"# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total {n * 0.003 + n % 7}\n"
        )


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with fake_world(tmp_path, port=PORT) as world, world.hands(metrics=Traffic().metrics).working():
        DeploymentDeployer(world.api).deploy("1", fence=0)
        yield world


@contextmanager
def controller(world: World, folder: Path, *, name: str) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """A controller's process and the address of its probes."""
    env = {**os.environ, "KUBECONFIG": str(world.kubeconfig), "POD_NAMESPACE": world.api.settings.namespace}
    env |= {"BUILD": str(folder / "build"), "POD_NAME": name, "PYTHONPATH": str(PROJECT)}
    command = [sys.executable, "-m", "k8s", "controller", "--port", "0", "--turn-seconds", "0.05"]
    process = subprocess.Popen(
        command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=folder
    )
    assert process.stdout is not None
    try:
        said = []
        for line in process.stdout:
            said.append(line)
            if found := re.search(r"controlling .* port=(\d+)", line):
                yield process, f"http://127.0.0.1:{found[1]}"
                break
        else:
            pytest.fail(f"the controller did not begin: {said}")
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def begin(world: World) -> None:
    ConfigMapStore(world.api).save(Rollout.begin("1-2-real", "1", "2", POLICY, now=datetime.now(UTC)), None)


def wait_for_step(world: World, *states: str) -> Rollout:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        held = ConfigMapStore(world.api).load()
        if held and f"{held[0].state} {held[0].index}" in states:
            return held[0]
        time.sleep(0.01)
    raise AssertionError(f"expected {states}; got {held}")


def test_a_process_that_is_killed_is_gone_on_with_and_leaves_when_it_is_told(world: World, tmp_path: Path) -> None:
    begin(world)

    # The name is the same, as in a StatefulSet or on a laptop, so the Lease of the dead need not run out.
    with controller(world, tmp_path, name="one") as (process, _):
        wait_for_step(world, "CANARY 0", "CANARY 1")
        process.send_signal(signal.SIGKILL)
    with controller(world, tmp_path, name="one") as (process, address), loopback_client() as client:
        rollout = wait_for_step(world, "PROMOTED 1")
        report = wait_for_report(tmp_path / "build" / "reports" / "canary.json")
        probes = {path: client.get(f"{address}{path}").status_code for path in ("/livez", "/readyz", "/nothing")}
        metrics = client.get(f"{address}/metrics").text
        process.send_signal(signal.SIGTERM)
        status = process.wait(60)

    assert (moves(rollout), weights(world)["recommender-canary"]) == (("CANARY 0", "CANARY 1", "PROMOTED 1"), 100)
    assert (report["end_state"], report["challenger"], report["verdict"]) == ("PROMOTED", "2", "PASS")
    assert probes == {"/livez": 200, "/readyz": 200, "/nothing": 404}
    assert 'rollout_state{state="PROMOTED"} 1.0' in metrics
    assert "controller_leading 1.0" in metrics
    assert status == 0
    assert lease_of(world).holder_identity == ""


def wait_for_report(path: Path) -> dict[str, object]:
    deadline = time.monotonic() + 60
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    return dict(read_json(path, made_by="the controller"))


def lease_of(world: World):  # type: ignore[no-untyped-def]
    api = world.api
    return api.call(api.coordination.read_namespaced_lease, api.settings.lease, api.settings.namespace).spec


def test_the_probes_tell_a_controller_that_turns_no_more() -> None:
    from k8s.controller.metrics import controller_metrics
    from k8s.controller.probes import answering

    alive = [False]
    told = []
    with (
        answering(0, alive=lambda: alive[0], registry=controller_metrics().registry, host="127.0.0.1") as port,
        httpx.Client(trust_env=False, base_url=f"http://127.0.0.1:{port}") as client,
    ):
        for now_alive in (False, True, False):
            alive[0] = now_alive
            told.append((client.get("/readyz").status_code, client.get("/livez").status_code))

    assert told == [(503, 200), (200, 200), (503, 503)]
