"""What the Kubernetes edge does when the API server is away, somebody else writes first, or a watch is cut off."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cluster_world import World, fake_world
from fake_api_server import FakeApiServer

from k8s.cluster.deployer import DeploymentDeployer
from k8s.cluster.errors import ClusterUnavailable, Conflict
from k8s.cluster.http_route import HttpRoutePlane
from k8s.cluster.lease import Lease, LeaseLost
from k8s.cluster.state_store import ConfigMapStore
from k8s.cluster.watch import PodWatch
from k8s.policy.rules import RolloutPolicy
from k8s.rollout.rollout import Rollout
from k8s.rollout.split import Split
from k8s.rollout.store import StaleState

pytestmark = pytest.mark.integration
ROLLOUT = Rollout.begin("release-2", "1", "2", RolloutPolicy(), now=datetime(2026, 3, 1, tzinfo=UTC))
LABELS = {"app.kubernetes.io/name": "recommender", "recommender/variant": "canary"}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with fake_world(tmp_path) as world:
        yield world


@pytest.fixture
def server(world: World) -> FakeApiServer:
    assert world.server is not None
    return world.server


@contextmanager
def back_after(server: FakeApiServer, seconds: float) -> Iterator[None]:
    server.leave()
    timer = threading.Timer(seconds, server.come_back)
    timer.start()
    try:
        yield
    finally:
        timer.join()


def test_a_call_waits_for_a_server_that_comes_back(world: World, server: FakeApiServer) -> None:
    with back_after(server, 0.5):
        version = ConfigMapStore(world.api).save(ROLLOUT, None)

    assert ConfigMapStore(world.api).load() == (ROLLOUT, version)


def test_a_server_that_stays_away_is_a_sentence_within_the_patience(world: World, server: FakeApiServer) -> None:
    store = ConfigMapStore(world.other(patience_seconds=0.5))
    server.leave()

    with pytest.raises(ClusterUnavailable, match="the API server must answer; got ProtocolError"):
        store.load()

    assert 3 <= len([path for _, path in server.requests if path.endswith("recommender-rollout")]) <= 5


def test_a_save_whose_answer_was_lost_is_done_once(world: World, server: FakeApiServer) -> None:
    server.lose_answers(1)

    version = ConfigMapStore(world.api).save(ROLLOUT, None)

    assert ConfigMapStore(world.api).load() == (ROLLOUT, version)
    assert server.writes("configmaps") == 2


@pytest.mark.parametrize(
    ("plural", "write"),
    [
        ("configmaps", lambda api: ConfigMapStore(api).save(ROLLOUT, None)),
        ("deployments", lambda api: DeploymentDeployer(api, variant="canary").want("2", fence=1)),
        ("httproutes", lambda api: HttpRoutePlane(api).apply(Split(25, 40))),
    ],
)
def test_a_write_is_made_again_after_each_conflict(
    plural: str, write: Callable[[Any], object], world: World, server: FakeApiServer
) -> None:
    with world.hands().working(), server.rival(plural, times=3):
        write(world.api)

    assert server.writes(plural) == 4


def test_a_rival_that_is_always_faster_leaves_the_state_as_it_was(world: World, server: FakeApiServer) -> None:
    store = ConfigMapStore(world.other(patience_seconds=0.5))

    with server.rival("configmaps"), pytest.raises(StaleState, match="somebody wrote it since"):
        store.save(ROLLOUT, None)

    assert store.load() is None


def test_a_rival_that_is_always_faster_leaves_the_route_as_it_was(world: World, server: FakeApiServer) -> None:
    before = server.objects.read(("httproutes", "recommender-dev", "recommender"))["spec"]

    with server.rival("httproutes"), pytest.raises(Conflict, match="409"):
        HttpRoutePlane(world.other(patience_seconds=0.5)).apply(Split(25, 40))

    assert server.objects.read(("httproutes", "recommender-dev", "recommender"))["spec"] == before


@pytest.mark.parametrize(
    ("features", "copies"),
    [
        ([{"name": "HTTPRouteRequestMirror"}], 1),
        (["HTTPRouteRequestMirror"], 1),
        ([{"name": "HTTPRoute"}], 0),
        (None, 0),
    ],
)
def test_a_shadow_is_cast_only_by_a_gateway_that_says_it_mirrors(
    features: list[Any] | None, copies: int, world: World, server: FakeApiServer
) -> None:
    if features is not None:
        server.objects.create(
            "gateways", "gateways", {"metadata": {"name": "shared"}, "spec": {"gatewayClassName": "x"}}
        )
        server.objects.create(
            "gatewayclasses", "", {"metadata": {"name": "x"}, "spec": {"controllerName": "example.org/x"}}
        )
        server.objects.replace(("gatewayclasses", "", "x"), {"status": {"supportedFeatures": features}}, part="status")

    with world.hands().working():
        HttpRoutePlane(world.api).apply(Split(0, 40, shadow=True))

    rules = server.objects.read(("httproutes", "recommender-dev", "recommender"))["spec"]["rules"]
    assert sum("filters" in rule for rule in rules) == copies


def test_of_many_contenders_at_once_one_takes_the_lease(world: World) -> None:
    leases = [Lease(world.other(), identity=f"controller-{n}") for n in range(8)]
    start, held = threading.Barrier(8), [False] * 8

    def contend(n: int) -> None:
        start.wait()
        held[n] = leases[n].hold()

    threads = [threading.Thread(target=contend, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(held) == 1


def test_a_holder_acts_on_while_the_server_is_away_and_stops_before_another_may(
    world: World, server: FakeApiServer
) -> None:
    clock = [0.0]
    lease = Lease(world.other(patience_seconds=0.1), identity="one", clock=lambda: clock[0])
    lease.hold()
    server.leave()

    clock[0] = 9.9
    early = lease.hold()
    clock[0] = 10.1

    assert early
    with pytest.raises(ClusterUnavailable):
        lease.hold()
    server.come_back()
    assert lease.hold()


def test_a_holder_whose_lease_was_taken_knows_it(world: World) -> None:
    clock = [0.0]
    one = Lease(world.api, identity="one", clock=lambda: clock[0])
    two = Lease(world.other(), identity="two", clock=lambda: clock[0])
    one.hold()
    two.hold()
    clock[0] = 15.1
    assert two.hold()

    with pytest.raises(LeaseLost):
        one.check()

    assert two.fence == one.fence + 1


def test_a_lease_that_was_made_again_counts_on_for_its_holder_only(world: World) -> None:
    one, two = (Lease(world.other(), identity=name) for name in ("one", "two"))
    one.hold()

    one.rise_above(7)

    assert one.fence == 8
    with pytest.raises(LeaseLost, match="only the holder"):
        two.rise_above(9)
    one.release()
    assert two.hold()
    assert two.fence == 9


class Following:
    """A watch that is followed in a thread; `names` are the pods that it told of."""

    def __init__(self, world: World) -> None:
        self.names: list[str] = []
        self.relisted = 0
        self._told = threading.Condition()
        self._watch = PodWatch(world.api, "canary")
        self._thread = threading.Thread(target=self._follow)

    @contextmanager
    def going_on(self) -> Iterator["Following"]:
        self._thread.start()
        try:
            assert self.until(lambda: self.relisted == 1)
            yield self
        finally:
            self._watch.stop()
            self._thread.join(30)
            assert not self._thread.is_alive()

    def until(self, holds: Callable[[], bool]) -> bool:
        deadline = time.monotonic() + 30
        with self._told:
            while not holds() and time.monotonic() < deadline:
                self._told.wait(0.05)
        return holds()

    def _follow(self) -> None:
        for change in self._watch.changes():
            with self._told:
                self.relisted += change.kind == "RELISTED"
                self.names += [change.pod.name] if change.pod and change.kind == "ADDED" else []
                self._told.notify_all()


def make_pod(server: FakeApiServer, name: str) -> None:
    spec = {"containers": [{"name": "recommender", "image": "recommender:1"}]}
    body = {"metadata": {"name": name, "labels": LABELS}, "spec": spec}
    server.objects.create("pods", "recommender-dev", body)


def test_a_watch_that_is_dropped_goes_on_where_it_was(world: World, server: FakeApiServer) -> None:
    with Following(world).going_on() as following:
        make_pod(server, "one")
        assert following.until(lambda: following.names == ["one"])
        for name in ("two", "three"):
            server.drop_watches()
            make_pod(server, name)

        assert following.until(lambda: following.names == ["one", "two", "three"])
        assert following.relisted == 1


def test_a_watch_whose_history_is_forgotten_lists_anew(world: World, server: FakeApiServer) -> None:
    with Following(world).going_on() as following:
        make_pod(server, "one")
        assert following.until(lambda: following.names == ["one"])
        make_pod(server, "unseen")
        server.objects.forget()
        server.drop_watches()

        assert following.until(lambda: following.relisted == 2)
        make_pod(server, "two")
        assert following.until(lambda: following.names[-1] == "two")


def test_a_watch_outlives_a_server_that_is_away(world: World, server: FakeApiServer) -> None:
    with Following(world).going_on() as following:
        with back_after(server, 0.7):
            make_pod(server, "one")

        assert following.until(lambda: following.names == ["one"])


def test_a_watch_that_ends_by_its_time_limit_goes_on(world: World, server: FakeApiServer) -> None:
    short = World(world.other(watch_seconds=1), world.kubeconfig, server)

    with Following(short).going_on() as following:
        assert following.until(lambda: len([p for _, p in server.requests if p.endswith("/pods")]) >= 3)
        make_pod(server, "one")

        assert following.until(lambda: following.names == ["one"])
        assert following.relisted == 1
