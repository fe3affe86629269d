"""HTTPRoute as a data plane, before a real gateway: Traefik reads the routes from the fake API server.

The gateway is somebody else's program with its own view of Gateway API, so what our rules mean is not ours to say here.
It also is a second client of the fake, in another language, that lists, watches and writes statuses.
"""

import sysconfig
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import pytest
from cluster_world import World, fake_world
from dataplane_suite import PROMPT, DataPlaneSuite, load, wait_for
from test_canary_traefik import Pair, TraefikGateway, opened

from k8s.cluster.api import Api
from k8s.cluster.http_route import HttpRoutePlane, RouteNotLive
from k8s.cluster.settings import ClusterSettings
from k8s.loopback import LOOPBACK, free_ports, loopback_client
from k8s.processes import running, wait_listening
from k8s.rollout.split import Split

pytestmark = pytest.mark.integration
NAMESPACE = "recommender-dev"
NOBODY = "http://127.0.0.1:1"
# As it is where nobody says otherwise.
WAITS = {name: ClusterSettings.model_fields[name].default for name in ("settle_seconds", "route_poll_seconds")}


@dataclass(frozen=True)
class RoutedPlane:
    """The plane under test, with the address where the gateway answers, as the suite wants one."""

    plane: HttpRoutePlane
    api: Api
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
        port, ping = free_ports(2)
        world = up.enter_context(fake_world(folder, live_seconds=10.0, gateway=f"http://{LOOPBACK}:{port}", **WAITS))
        publish(world, pair, port)
        child = up.enter_context(running("traefik", command(world, port, ping), log=folder / "traefik.log"))
        wait_listening(child, port, patience_seconds=20)
        client = up.enter_context(loopback_client())
        gateway = TraefikGateway(
            RoutedPlane(HttpRoutePlane(world.api), world.api, f"http://{LOOPBACK}:{port}"), pair, client
        )
        wait_for(lambda: gateway.ask() == "stable", seconds=20.0)
        assert gateway.ask() == "stable", (folder / "traefik.log").read_text()
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

    def test_where_the_gateway_cannot_be_asked_a_wait_of_less_than_a_second_stands_for_its_answer(
        self, gateway: TraefikGateway, shared: TraefikGateway
    ) -> None:
        api = shared.plane.api
        blind = HttpRoutePlane(replace(api, settings=api.settings.model_copy(update={"gateway": None})))
        gateway.plane.apply(Split(0))
        took = []

        with load(gateway) as seen:
            for split in (Split(5), Split(50, 30), Split(100), Split(1), Split(0)):
                began = time.monotonic()
                blind.apply(split)
                took.append(time.monotonic() - began)

        # The wait alone is most of a second: the middle one, since a machine may be busy.
        assert median(took) < PROMPT
        assert set(seen) == {"stable", "canary"}

    def test_a_gateway_that_sends_a_bucket_elsewhere_is_not_called_live(self, shared: TraefikGateway) -> None:
        api = shared.plane.api
        shared.plane.apply(Split(0))
        changed = {"gateway": shared.pair.backends.stable, "live_seconds": 0.3}
        misled = HttpRoutePlane(replace(api, settings=api.settings.model_copy(update=changed)))

        with pytest.raises(RouteNotLive, match=r"expected bucket 7 to be answered by canary at http.*; got stable"):
            misled.apply(Split(1, 7))

        away = HttpRoutePlane(replace(api, settings=api.settings.model_copy(update={**changed, "gateway": NOBODY})))
        with pytest.raises(RouteNotLive, match=r"expected bucket 7 to be answered by stable at .*; got ConnectError"):
            away.apply(Split(0))

    def test_a_shadow_copies_recommend_alone_and_no_user_sees_the_canary(self, gateway: TraefikGateway) -> None:
        """Traefik as a Gateway API implementation does not mirror: with the filter every user would get 500."""
        gateway.plane.apply(Split(100))
        before = gateway.reached("canary", "/recommend")

        gateway.plane.apply(Split(0, 60, shadow=True))

        seen = {gateway.ask(bucket=bucket) for bucket in (None, "60", "61", "3") for _ in range(5)}
        assert seen == {"stable"}
        assert gateway.reached("canary", "/recommend") == before
