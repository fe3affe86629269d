"""The controller on a cluster: a release goes through, and whatever happens on the way leads to a stated end."""

import threading
import time as real_time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cluster_release import (
    POLICY,
    STEPS,
    Evidence,
    Killed,
    MortalApi,
    RealTime,
    Release,
    Time,
    begin,
    moves,
    release_on,
    weights,
)
from cluster_world import World, fake_world
from fake_api_server import FakeApiServer

from k8s.cluster.deployer import DeploymentDeployer
from k8s.cluster.http_route import HttpRoutePlane
from k8s.cluster.lease import Lease
from k8s.cluster.pods import ClusterPods
from k8s.controller.watching import waking
from k8s.rollout.rollout import Rollout
from k8s.rollout.split import Split
from k8s.rollout.states import State
from training.verdict import Verdict

pytestmark = pytest.mark.integration
NAMESPACE, NEW = "recommender-dev", "recommender/version=2"
ENDS = (State.PROMOTED, State.ROLLED_BACK, State.HALTED)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with fake_world(tmp_path) as world:
        yield world


@pytest.fixture
def server(world: World) -> FakeApiServer:
    assert world.server is not None
    return world.server


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def release(world: World, time: Time) -> Release:
    begin(world)
    return release_on(world, time=time)


def test_a_good_release_takes_every_step_once(world: World, release: Release) -> None:
    with world.hands().working():
        rollout = release.turns_until(*ENDS)

        assert (rollout.state, moves(rollout)) == (State.PROMOTED, STEPS)
        assert weights(world) == {"recommender-stable": 0, "recommender-canary": 100}
        assert ClusterPods(world.api).seen("canary").versions == ("2",)
        assert release.metrics.registry.get_sample_value("rollout_state", {"state": "PROMOTED"}) == 1
        assert release.metrics.registry.get_sample_value("rollout_weight") == 100


def test_a_promoted_version_is_answered_by_the_stable_once_all_of_its_pods_serve_it(
    world: World, release: Release
) -> None:
    with world.hands().working():
        release.turns_until(State.PROMOTED)
        assert release.controller.turn() == "ended"
        before = weights(world)

        DeploymentDeployer(world.api).deploy("2", fence=1)
        release.controller.turn()

        assert before == {"recommender-stable": 0, "recommender-canary": 100}
        assert weights(world) == {"recommender-stable": 100, "recommender-canary": 0}


def test_a_bad_release_is_rolled_back_to_weight_0(world: World, release: Release) -> None:
    release.evidence.verdicts[State.CANARY, 1] = Verdict.FAIL

    with world.hands().working():
        rollout = release.turns_until(*ENDS)

    assert moves(rollout) == (*STEPS[:3], "ROLLED_BACK 1")
    assert weights(world) == {"recommender-stable": 100, "recommender-canary": 0}


def test_a_release_without_evidence_halts_at_its_deadline(world: World, release: Release, time: Time) -> None:
    release.evidence.verdicts[State.CANARY, 0] = Verdict.INCONCLUSIVE

    with world.hands().working():
        release.turns_until(State.CANARY)
        release.controller.turn()
        weight_before, time.seconds = weights(world)["recommender-canary"], time.seconds + 3600
        rollout = release.turns_until(*ENDS, most=1)

    assert (rollout.state, weight_before) == (State.HALTED, 5)
    assert weights(world)["recommender-canary"] == 0


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [("never ready", "canary: 0 of 1 pods are ready"), ("image missing", "ImagePullBackOff: Back-off pulling image")],
)
def test_a_canary_that_does_not_come_up_halts_with_the_reason(
    behaviour: str, said: str, world: World, release: Release, time: Time
) -> None:
    with world.hands().working() as hands:
        hands.behaviour["2"] = behaviour  # type: ignore[assignment]
        release.controller.turn()
        wait_for(lambda: bool(world.api.call(world.api.core.list_namespaced_pod, NAMESPACE, label_selector=NEW).items))
        wait_for(lambda: behaviour == "never ready" or said in ClusterPods(world.api).seen("canary").said)
        time.seconds += 600
        rollout = release.turns_until(*ENDS, most=1)

    assert (rollout.state, moves(rollout)) == (State.HALTED, ("HALTED -1",))
    assert any(said in reason for reason in rollout.reasons), rollout.reasons
    assert weights(world)["recommender-canary"] == 0


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_controller_killed_at_any_write_leaves_the_same_end(after: bool, world: World) -> None:
    policy = POLICY.model_copy(update={"canary": POLICY.canary.model_copy(update={"steps": (5, 50)})})
    expected, at, killed = (*STEPS[:3], "PROMOTED 1"), 0, True
    with world.hands().working():
        while killed:
            at += 1
            begin(world, policy, challenger=str(at + 1))
            killed, rollout = _released_by_two(world, Time(), at=at, after=after)
            assert (rollout.state, moves(rollout)) == (State.PROMOTED, expected), f"killed {after=} write {at}"
            assert weights(world) == {"recommender-stable": 0, "recommender-canary": 100}
            assert ClusterPods(world.api).seen("canary").versions == (rollout.challenger,)
    # The Lease, the canary's version, a save and a route for each move.
    assert at > 2 + 2 * len(expected)


def _released_by_two(world: World, time: Time, *, at: int, after: bool) -> tuple[bool, Rollout]:
    """A release by a controller that is killed at its n-th write and by one that comes after it."""
    mortal = release_on(world, time=time, api=MortalApi.of(world.api, at=at, after=after))
    try:
        return False, mortal.turns_until(*ENDS)
    except Killed:
        heir = release_on(world, time=time, name="two")
        assert heir.controller.turn() in ("waiting", "ticked", "idle")
        time.seconds += 16  # the Lease of the dead has run out
        rollout = heir.turns_until(*ENDS)
        heir.controller.turn()
        return True, rollout


def test_a_minute_without_the_api_server_moves_nothing_and_then_goes_on(
    world: World, server: FakeApiServer, time: Time
) -> None:
    begin(world)
    release = release_on(world, time=time, api=world.other(patience_seconds=0.05))
    release.evidence.verdicts[State.CANARY, 1] = Verdict.INCONCLUSIVE
    with world.hands().working():
        release.turns_until(State.CANARY)
        while weights(world)["recommender-canary"] != 25:
            release.controller.turn()
        server.leave()
        outcomes = []
        for _ in range(12):
            outcomes.append(release.controller.turn())
            time.seconds += 5
        server.come_back()
        during = release.store.load()
        release.evidence.verdicts.clear()
        rollout = release.turns_until(*ENDS)

    assert set(outcomes) == {"failed"}
    assert during is not None
    assert moves(during[0]) == STEPS[:3]
    assert moves(rollout) == STEPS
    assert release.metrics.registry.get_sample_value("controller_errors_total", {"kind": "ClusterUnavailable"}) == 12
    assert release.controller.alive


EVERYTHING = ("configmaps", "httproutes", "deployments", "leases")


def test_a_conflict_on_every_write_costs_attempts_and_no_step(world: World, server: FakeApiServer, time: Time) -> None:
    begin(world)
    release = release_on(world, time=time)

    with world.hands().working(), server.rival(*EVERYTHING, pausing=True):
        rollout = release.turns_until(*ENDS)

    assert moves(rollout) == STEPS
    assert weights(world)["recommender-canary"] == 100


def test_a_rival_that_is_always_faster_stops_the_release_where_it_is(
    world: World, server: FakeApiServer, time: Time
) -> None:
    begin(world)
    release = release_on(world, time=time, api=world.other(patience_seconds=0.3))

    with world.hands().working():
        release.turns_until(State.CANARY)
        with server.rival("configmaps"):
            outcomes = [release.controller.turn() for _ in range(3)]
            held = release.store.load()
        rollout = release.turns_until(*ENDS)

    assert outcomes == ["failed"] * 3
    assert held is not None
    assert moves(held[0]) == STEPS[:2]
    assert moves(rollout) == STEPS


def test_of_two_controllers_one_acts_and_the_other_goes_on_when_it_hangs(world: World) -> None:
    begin(world)
    api = world.other(lease_seconds=3.0)
    one, two = (release_on(world, time=RealTime(), name=name, api=api) for name in ("one", "two"))
    looked: list[str] = []
    one.evidence.on_look = lambda _: looked.append("one")
    two.evidence.on_look = lambda _: looked.append("two")
    one.evidence.verdicts[State.CANARY, 1] = Verdict.INCONCLUSIVE
    over = threading.Event()
    threads = [threading.Thread(target=release.controller.run) for release in (one, two)]

    with world.hands().working():
        threads[0].start()
        wait_for(lambda: (held := one.store.load()) is not None and held[0].index == 1)
        threads[1].start()
        real_time.sleep(3.2)  # longer than the Lease: the other would have acted by now
        while_both = set(looked)
        one.evidence.on_look = lambda _: over.wait(10)
        wait_for(lambda: (held := two.store.load()) is not None and held[0].ended)
        over.set()
        for release, thread in zip((one, two), threads, strict=True):
            release.controller.leave()
            thread.join(30)

    rollout = two.store.load()
    assert rollout is not None
    assert (while_both, set(looked)) == ({"one"}, {"one", "two"})
    assert moves(rollout[0]) == STEPS
    assert weights(world)["recommender-canary"] == 100


def wait_for(holds: Callable[[], bool]) -> None:
    deadline = real_time.monotonic() + 60
    while not holds():
        assert real_time.monotonic() < deadline
        real_time.sleep(0.02)


def test_a_controller_that_lost_its_lease_in_the_middle_of_a_turn_writes_nothing(
    world: World, release: Release, time: Time
) -> None:
    other = Lease(world.other(), identity="two", clock=time.monotonic)

    def steal(rollout: Rollout) -> None:
        if rollout.state is State.CANARY:
            other.hold()
            time.seconds += 16
            assert other.hold()

    release.evidence.on_look = steal
    with world.hands().working():
        release.turns_until(State.CANARY)
        outcome = release.controller.turn()

    held = release.store.load()
    assert outcome == "failed"
    assert held is not None
    assert moves(held[0]) == STEPS[:2]
    assert release.metrics.registry.get_sample_value("controller_errors_total", {"kind": "LeaseLost"}) == 1


def test_a_route_that_somebody_overwrote_is_put_right_by_the_next_turn(world: World, release: Release) -> None:
    release.evidence.verdicts[State.CANARY, 1] = Verdict.INCONCLUSIVE
    with world.hands().working():
        while weights(world)["recommender-canary"] != 25:
            release.controller.turn()
        HttpRoutePlane(world.other()).apply(Split(0))
        overwritten = weights(world)["recommender-canary"]

        release.controller.turn()

        assert (overwritten, weights(world)["recommender-canary"]) == (0, 25)


def test_without_a_rollout_a_controller_does_nothing(world: World, server: FakeApiServer, time: Time) -> None:
    release = release_on(world, time=time)

    outcomes = [release.controller.turn() for _ in range(3)]

    assert outcomes == ["idle"] * 3
    assert [server.writes(plural) for plural in ("httproutes", "deployments", "configmaps")] == [0, 0, 0]
    assert release.metrics.registry.get_sample_value("rollout_state", {"state": "NONE"}) == 1


def test_a_second_controller_waits_and_shows_where_the_rollout_stands(world: World, time: Time) -> None:
    begin(world)
    Lease(world.api, identity="one", clock=time.monotonic).hold()
    second = release_on(world, time=time, name="two")

    assert second.controller.turn() == "waiting"
    assert second.metrics.registry.get_sample_value("controller_leading") == 0
    assert second.metrics.registry.get_sample_value("rollout_state", {"state": "PENDING"}) == 1


def test_a_change_of_the_canarys_pods_wakes_the_controller_though_its_watch_was_dropped(
    world: World, server: FakeApiServer
) -> None:
    wake = threading.Event()
    labels = {"app.kubernetes.io/name": "recommender", "recommender/variant": "canary"}
    pod = {"metadata": {"name": "canary-1", "labels": labels}, "spec": {"containers": []}}
    pod["spec"] = {"containers": [{"name": "recommender", "image": "recommender:2"}]}

    with waking(world.api, wake):
        assert wake.wait(5)  # it listed the pods
        wake.clear()
        server.drop_watches()
        server.objects.create("pods", world.api.settings.namespace, pod)

        assert wake.wait(5)


def test_the_evidence_of_this_suite_is_judged_by_the_real_pods_first(world: World) -> None:
    assert Evidence(ClusterPods(world.api)).pods.seen("canary").ready == 0
    assert POLICY.canary.steps == (5, 25, 50)
