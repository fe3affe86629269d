"""The Traefik data plane in front of two real processes, under load."""

import re
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from dataplane_suite import DataPlaneSuite, load

from k8s.dataplane.traefik import DataPlaneError, Traefik, open_traefik
from k8s.dataplane.traefik_routes import HEADER, Backends
from k8s.loopback import free_ports, loopback_client
from k8s.processes import Child, ProcessError, running, stop, wait_ready
from k8s.rollout.split import Split

pytestmark = pytest.mark.integration

POD = Path(__file__).with_name("canary_pod.py")


@dataclass(frozen=True)
class Pair:
    """Both variants' processes and addresses."""

    backends: Backends
    canary: Child


@dataclass(frozen=True)
class TraefikGateway:
    """Traefik before a pair, as a caller sees it."""

    plane: Traefik
    pair: Pair
    client: httpx.Client

    def ask(self, *, bucket: str | None = None, path: str = "/recommend") -> str:
        headers = {} if bucket is None else {HEADER: bucket}
        answer = self.client.post(f"{self.plane.url}{path}", json={"user_id": "1", "k": 3}, headers=headers)
        return str(answer.json()["variant"]) if answer.status_code == 200 else str(answer.status_code)

    def reached(self, variant: str, path: str) -> int:
        text = self.client.get(f"{getattr(self.pair.backends, variant)}/metrics").text
        found = re.search(rf'^posts_total{{path="{path}"}} ([0-9.]+)$', text, re.MULTILINE)
        return int(float(found[1])) if found else 0


def pod(version: str, port: int, variant: str) -> list[str]:
    return [sys.executable, str(POD), version, str(port), variant]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with ExitStack() as up:
        yield opened(up, tmp_path_factory.mktemp("pods"))


def opened(up: ExitStack, folder: Path) -> Pair:
    ports = free_ports(2)
    urls = [f"http://127.0.0.1:{port}" for port in ports]
    stable, canary = (
        up.enter_context(running(name, pod(version, port, name), log=folder / f"{name}.log"))
        for name, version, port in zip(("stable", "canary"), "12", ports, strict=True)
    )
    wait_ready(stable, urls[0], version="1", patience_seconds=20)
    wait_ready(canary, urls[1], version="2", patience_seconds=20)
    return Pair(Backends(stable=urls[0], canary=urls[1]), canary)


@pytest.fixture(scope="module")
def shared(pair: Pair, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TraefikGateway]:
    """Traefik takes most of a second to start, so one serves all tests that leave it running."""
    folder = tmp_path_factory.mktemp("traefik")
    with open_traefik(pair.backends, folder=folder, log=folder / "log") as plane, loopback_client() as client:
        # Health checks must have found the canary before it is counted on.
        time.sleep(0.2)
        yield TraefikGateway(plane, pair, client)


@pytest.fixture
def own(pair: Pair, tmp_path: Path) -> Iterator[TraefikGateway]:
    """A Traefik that a test may break."""
    with open_traefik(pair.backends, folder=tmp_path, log=tmp_path / "log") as plane, loopback_client() as client:
        yield TraefikGateway(plane, pair, client)


class TestTraefik(DataPlaneSuite):
    @pytest.fixture
    def gateway(self, request: pytest.FixtureRequest) -> TraefikGateway:
        closes = "closing" in request.node.name
        found: TraefikGateway = request.getfixturevalue("own" if closes else "shared")
        return found


def test_a_canary_that_dies_under_load_costs_no_user_an_answer(tmp_path: Path) -> None:
    """Without a failover service every user of a dead canary saw 502 until somebody changed the weight."""
    with ExitStack() as up:
        pair = opened(up, tmp_path)
        plane = up.enter_context(open_traefik(pair.backends, folder=tmp_path, log=tmp_path / "traefik.log"))
        gateway = TraefikGateway(plane, pair, up.enter_context(loopback_client()))
        plane.apply(Split(100))

        with load(gateway) as seen:
            time.sleep(0.3)
            stop(pair.canary.process)
            time.sleep(1.5)
            plane.apply(Split(50))
            time.sleep(0.3)

    assert set(seen) == {"stable", "canary"}
    assert seen["stable"] > 50


def test_a_change_that_does_not_arrive_is_an_error(own: TraefikGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("k8s.dataplane.traefik.PATIENCE_SECONDS", 0.3)
    monkeypatch.setattr("k8s.dataplane.traefik.write_routes", lambda *_: None)

    with pytest.raises(DataPlaneError, match="expected gateway-10-0-canary to be live within 0 s; got gateway-0-0-"):
        own.plane.apply(Split(10))


def test_a_rule_that_traefik_refuses_is_an_error_and_not_a_router_less(
    own: TraefikGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("k8s.dataplane.traefik.PATIENCE_SECONDS", 0.5)
    monkeypatch.setattr("k8s.dataplane.traefik_routes.ANY_BUCKET", "[")

    with pytest.raises(DataPlaneError, match=r"got buckets-of-canary@file, gateway-10-0-canary@file$"):
        own.plane.apply(Split(10))


def test_a_gateway_that_has_died_is_an_error_and_not_a_wait(own: TraefikGateway) -> None:
    own.plane.close()

    with pytest.raises(ProcessError, match="traefik ended with status"):
        own.plane.apply(Split(10))
