"""The Traefik data plane in front of two real processes, under load."""

import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from k8s.dataplane.traefik import Backends, DataPlaneError, Traefik, open_traefik
from k8s.loopback import free_ports, loopback_client
from k8s.processes import Child, ProcessError, running, stop, wait_ready

pytestmark = pytest.mark.integration

POD = Path(__file__).with_name("canary_pod.py")


@dataclass(frozen=True)
class Stage:
    plane: Traefik
    canary: Child


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    ports = free_ports(2)
    urls = [f"http://127.0.0.1:{port}" for port in ports]
    with ExitStack() as up:
        stable, canary = (
            up.enter_context(running(name, pod(version, port, name), log=tmp_path / f"{name}.log"))
            for name, version, port in zip(("stable", "canary"), "12", ports, strict=True)
        )
        wait_ready(stable, urls[0], version="1", patience_seconds=20)
        wait_ready(canary, urls[1], version="2", patience_seconds=20)
        backends = Backends(stable=urls[0], canary=urls[1])
        plane = up.enter_context(open_traefik(backends, folder=tmp_path, log=tmp_path / "traefik.log"))
        yield Stage(plane, canary)


def pod(version: str, port: int, variant: str) -> list[str]:
    return [sys.executable, str(POD), version, str(port), variant]


def ask(client: httpx.Client, plane: Traefik) -> str:
    """The variant that answered, or the status of what went wrong."""
    answer = client.post(f"{plane.url}/recommend", json={"user_id": "1", "k": 3})
    return str(answer.json()["variant"]) if answer.status_code == 200 else str(answer.status_code)


@contextmanager
def load(plane: Traefik) -> Iterator[Counter[str]]:
    """One caller that asks without a pause while the block lasts; who answered is counted."""
    seen: Counter[str] = Counter()
    over = threading.Event()

    def call() -> None:
        with loopback_client() as client:
            while not over.is_set():
                seen[ask(client, plane)] += 1

    caller = threading.Thread(target=call)
    caller.start()
    try:
        yield seen
    finally:
        over.set()
        caller.join()


@pytest.mark.parametrize("percent", [0, 10, 50, 100])
def test_requests_split_as_told_from_the_first_one_on(stage: Stage, percent: int) -> None:
    stage.plane.set_weight(percent)

    with loopback_client() as client:
        seen = Counter(ask(client, stage.plane) for _ in range(200))

    assert seen["canary"] == pytest.approx(2 * percent, abs=2)
    assert seen.total() == seen["canary"] + seen["stable"]


def test_no_request_fails_while_weights_change_under_load(stage: Stage) -> None:
    with load(stage.plane) as seen:
        for percent in (10, 50, 100, 0, 100, 10):
            stage.plane.set_weight(percent)

    assert seen.total() > 50
    assert set(seen) == {"stable", "canary"}


def test_the_same_weight_can_be_set_again(stage: Stage) -> None:
    stage.plane.set_weight(50)
    stage.plane.set_weight(50)

    with loopback_client() as client:
        assert {ask(client, stage.plane) for _ in range(10)} == {"stable", "canary"}


def test_a_canary_that_dies_under_load_costs_no_user_an_answer(stage: Stage) -> None:
    """Without a failover service every user of a dead canary saw 502 until somebody changed the weight."""
    stage.plane.set_weight(100)

    with load(stage.plane) as seen:
        time.sleep(0.3)
        stop(stage.canary.process)
        time.sleep(2.5)
        stage.plane.set_weight(50)
        time.sleep(0.5)

    assert set(seen) == {"stable", "canary"}
    assert seen["stable"] > 50


def test_a_weight_beyond_100_is_refused(stage: Stage) -> None:
    with pytest.raises(DataPlaneError, match="expected a weight from 0 to 100; got 101"):
        stage.plane.set_weight(101)


def test_a_change_that_does_not_arrive_is_an_error(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("k8s.dataplane.traefik.PATIENCE_SECONDS", 0.3)
    monkeypatch.setattr("k8s.dataplane.traefik.write_routes", lambda *_: None)

    with pytest.raises(DataPlaneError, match="expected weight 10 to be live within 0 s; got 0"):
        stage.plane.set_weight(10)


def test_a_gateway_that_has_died_is_an_error_and_not_a_wait(stage: Stage) -> None:
    stage.plane.close()

    with pytest.raises(ProcessError, match="traefik ended with status"):
        stage.plane.set_weight(10)
