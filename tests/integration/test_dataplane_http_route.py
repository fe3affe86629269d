"""HTTPRoute as a data plane, before a real gateway: Traefik reads the routes from the fake API server.

The gateway is somebody else's program with its own view of Gateway API, so what our rules mean is not ours to say here.
It also is a second client of the fake, in another language, that lists, watches and writes statuses.
"""

import sysconfig
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from cluster_world import World, fake_world
from dataplane_suite import DataPlaneSuite, load, wait_for
from test_canary_traefik import Pair, TraefikGateway, opened

from k8s.cluster.http_route import HttpRoutePlane
from k8s.loopback import LOOPBACK, free_ports, loopback_client
from k8s.processes import running, wait_listening
from k8s.rollout.split import Split

pytestmark = pytest.mark.integration
NAMESPACE = "recommender-dev"
SETTLE_SECONDS = 1.0  # the default


@dataclass(frozen=True)
class RoutedPlane:
    """The plane under test, with the address where the gateway answers, as the suite wants one."""

    plane: HttpRoutePlane
    url: str

    def apply(self, split: Any) -> None:
        self.plane.apply(split)

    def close(self) -> None:
        self.plane.close()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TraefikGateway]:
    folder = tmp_path_factory.mktemp("gateway")
    with ExitStack() as up:
        pair = opened(up, folder)
        world = up.enter_context(fake_world(folder, live_seconds=10.0, settle_seconds=SETTLE_SECONDS))
        port, ping = free_ports(2)
        publish(world, pair, port)
        child = up.enter_context(running("traefik", command(world, port, ping), log=folder / "traefik.log"))
        wait_listening(child, port, patience_seconds=20)
        client = up.enter_context(loopback_client())
        gateway = TraefikGateway(RoutedPlane(HttpRoutePlane(world.api), f"http://{LOOPBACK}:{port}"), pair, client)
        wait_for(lambda: gateway.ask() == "stable", seconds=20.0)
        yield gateway


def publish(world: World, pair: Pair, port: int) -> None:
    """What somebody else makes on a cluster: the gateway, and where the pods of both Services are."""
    assert world.server is not None
    objects = world.server.objects
    objects.create("namespaces", "", {"metadata": {"name": NAMESPACE}})
    gateway_class = {"controllerName": "traefik.io/gateway-controller"}
    objects.create("gatewayclasses", "", {"metadata": {"name": "traefik"}, "spec": gateway_class})
    listener = {"name": "http", "protocol": "HTTP", "port": port, "allowedRoutes": {"namespaces": {"from": "Same"}}}
    gateway = {"gatewayClassName": "traefik", "listeners": [listener]}
    objects.create("gateways", NAMESPACE, {"metadata": {"name": "shared"}, "spec": gateway})
    for variant in ("stable", "canary"):
        name, address = f"recommender-{variant}", httpx.URL(getattr(pair.backends, variant))
        ports = [{"name": "http", "protocol": "TCP", "port": 80, "targetPort": "http"}]
        objects.create("services", NAMESPACE, {"metadata": {"name": name}, "spec": {"ports": ports}})
        slice_of = {
            "metadata": {"name": f"{name}-1", "labels": {"kubernetes.io/service-name": name}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [LOOPBACK], "conditions": {"ready": True}}],
            "ports": [{"name": "http", "protocol": "TCP", "port": address.port}],
        }
        objects.create("endpointslices", NAMESPACE, slice_of)
    key = ("httproutes", NAMESPACE, world.api.settings.route)
    route = objects.read(key)
    route["spec"] |= {"parentRefs": [{"name": "shared"}], "hostnames": [LOOPBACK]}
    objects.replace(key, route, part=None)


def command(world: World, port: int, ping: int) -> list[str]:
    assert world.server is not None
    return [
        str(Path(sysconfig.get_path("scripts")) / "traefik"),
        "--global.checkNewVersion=false",
        "--global.sendAnonymousUsage=false",
        f"--entryPoints.gateway.address={LOOPBACK}:{port}",
        f"--entryPoints.traefik.address={LOOPBACK}:{ping}",
        f"--providers.kubernetesgateway.endpoint={world.server.address}",
        "--providers.kubernetesgateway.token=nobody-asks",
        f"--providers.kubernetesgateway.namespaces={NAMESPACE}",
        "--providers.providersThrottleDuration=50ms",
        "--log.level=INFO",
        "--log.noColor=true",
    ]


class TestHttpRoute(DataPlaneSuite):
    @pytest.fixture
    def gateway(self, shared: TraefikGateway) -> TraefikGateway:
        return shared

    def test_a_change_is_live_within_a_second_and_no_request_fails(self, gateway: TraefikGateway) -> None:
        """What a gateway says is that it accepted a route, so a second passes before it is called live."""
        gateway.plane.apply(Split(0))
        slowest = 0.0

        with load(gateway) as seen:
            for split in (Split(5), Split(50, 30), Split(100), Split(1), Split(0)):
                began = time.monotonic()
                gateway.plane.apply(split)
                slowest = max(slowest, time.monotonic() - began)

        assert slowest < 1.0 + SETTLE_SECONDS
        assert set(seen) == {"stable", "canary"}

    def test_a_shadow_copies_recommend_alone_and_no_user_sees_the_canary(self, gateway: TraefikGateway) -> None:
        """Traefik as a Gateway API implementation does not mirror: with the filter every user would get 500."""
        gateway.plane.apply(Split(100))
        before = gateway.reached("canary", "/recommend")

        gateway.plane.apply(Split(0, 60, shadow=True))

        seen = {gateway.ask(bucket=bucket) for bucket in (None, "60", "61", "3") for _ in range(5)}
        assert seen == {"stable"}
        assert gateway.reached("canary", "/recommend") == before
