"""The Kubernetes edge, on the fake API server and, where KUBECONFIG names one, unchanged on a real one."""

import os
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cluster_world import World, fake_world, has_controllers, has_routes, real_world

from k8s.cluster.api import open_api
from k8s.cluster.deployer import DeploymentDeployer, tagged
from k8s.cluster.errors import Absent, ClusterError, ClusterRefused
from k8s.cluster.gateways import GROUP, VERSION
from k8s.cluster.http_route import PLURAL, HttpRoutePlane, RouteNotLive
from k8s.cluster.jobs import TrainingJobs
from k8s.cluster.lease import Lease, LeaseLost
from k8s.cluster.pods import ClusterPods
from k8s.cluster.settings import ClusterSettings
from k8s.cluster.state_store import ConfigMapStore
from k8s.cluster.watch import PodWatch
from k8s.policy.rules import RolloutPolicy
from k8s.rollout.rollout import Rollout, RolloutUnreadable
from k8s.rollout.split import Split
from k8s.rollout.store import StaleState
from training.deployer import DeployFailed, Fenced

pytestmark = pytest.mark.integration
NOW = datetime(2026, 3, 1, tzinfo=UTC)
REAL = [pytest.param("real", marks=pytest.mark.cluster)] if "KUBECONFIG" in os.environ else []


@pytest.fixture(scope="module", params=["fake", *REAL])
def opened(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with fake_world(tmp_path_factory.mktemp("fake")) if request.param == "fake" else real_world() as world:
        yield world


@pytest.fixture
def world(opened: World) -> World:
    """The objects as the manifests have them, whatever an earlier test did to them."""
    api, settings = opened.api, opened.api.settings
    empty = {"metadata": {"name": settings.state}, "data": {}}
    api.call(api.core.replace_namespaced_config_map, settings.state, settings.namespace, empty)
    api.call(api.coordination.delete_namespaced_lease, settings.lease, settings.namespace)
    api.call(api.coordination.create_namespaced_lease, settings.namespace, {"metadata": {"name": settings.lease}})
    return opened


@pytest.fixture
def acting(world: World) -> Iterator[Any]:
    """A world in which somebody plays the controllers."""
    if world.server is None and has_controllers(world.api):
        pytest.skip("the cluster has controllers of its own")
    with world.hands().working() as hands:
        yield hands


@pytest.fixture
def routed(world: World) -> World:
    if not has_routes(world.api):
        pytest.skip("the cluster has no Gateway API")
    return world


def rollout(name: str = "release-2") -> Rollout:
    return Rollout.begin(name, "1", "2", RolloutPolicy(), now=NOW)


def route_of(world: World) -> dict[str, Any]:
    api = world.api
    where = (GROUP, VERSION, api.settings.namespace, PLURAL, api.settings.route)
    return api.call(api.custom.get_namespaced_custom_object, *where)


# The state store


def test_a_store_that_was_never_saved_holds_nothing(world: World) -> None:
    assert ConfigMapStore(world.api).load() is None


def test_what_was_saved_is_loaded_with_the_version_that_saving_gave(world: World) -> None:
    store = ConfigMapStore(world.api)

    version = store.save(rollout(), None)

    assert ConfigMapStore(world.api).load() == (rollout(), version)


def test_a_stale_save_changes_nothing(world: World) -> None:
    store = ConfigMapStore(world.api)
    first = store.save(rollout("one"), None)
    second = store.save(rollout("two"), first)

    with pytest.raises(StaleState, match="as it was loaded"):
        store.save(rollout("three"), first)

    assert store.load() == (rollout("two"), second)


def test_only_one_of_two_first_saves_counts(world: World) -> None:
    ConfigMapStore(world.api).save(rollout("one"), None)

    with pytest.raises(StaleState):
        ConfigMapStore(world.other()).save(rollout("two"), None)


def test_a_save_that_was_done_already_is_content(world: World) -> None:
    store = ConfigMapStore(world.api)
    version = store.save(rollout(), None)

    assert store.save(rollout(), None) == version


def test_a_store_without_its_config_map_makes_it(world: World) -> None:
    store = ConfigMapStore(world.other(state="another-rollout"))

    version = store.save(rollout(), None)

    assert store.load() == (rollout(), version)
    settings = world.api.settings
    world.api.call(world.api.core.delete_namespaced_config_map, "another-rollout", settings.namespace)


def test_a_config_map_that_holds_something_else_is_no_rollout(world: World) -> None:
    settings = world.api.settings
    body = {"metadata": {"name": settings.state}, "data": {"rollout.json": "[]"}}
    world.api.call(world.api.core.replace_namespaced_config_map, settings.state, settings.namespace, body)

    with pytest.raises(RolloutUnreadable):
        ConfigMapStore(world.api).load()


# The Lease


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def test_of_two_contenders_one_holds_the_lease(world: World) -> None:
    one, two = (Lease(world.other(), identity=name) for name in ("one", "two"))

    assert [one.hold(), two.hold(), one.hold(), two.hold()] == [True, False, True, False]
    with pytest.raises(LeaseLost, match="another one holds it"):
        two.check()


def test_a_lease_that_is_released_is_free_at_once(world: World) -> None:
    one, two = (Lease(world.api, identity=name) for name in ("one", "two"))
    one.hold()

    one.release()

    assert two.hold()
    assert not one.hold()


def test_a_lease_passes_on_once_nobody_renews_it(world: World) -> None:
    clock = Clock()
    one, two = (Lease(world.api, identity=name, clock=clock) for name in ("one", "two"))
    one.hold()
    two.hold()

    clock.seconds = 14.0
    early = two.hold()
    clock.seconds = 15.1

    assert (early, two.hold(), one.hold()) == (False, True, False)


def test_a_lease_that_is_renewed_stays(world: World) -> None:
    clock = Clock()
    one, two = (Lease(world.api, identity=name, clock=clock) for name in ("one", "two"))

    held = []
    for seconds in range(0, 60, 6):
        clock.seconds = float(seconds)
        held.append((one.hold(), two.hold()))

    assert held == [(True, False)] * 10


def test_a_holder_that_comes_again_under_its_name_goes_on(world: World) -> None:
    Lease(world.api, identity="one").hold()

    assert Lease(world.other(), identity="one").hold()


def test_leadership_without_a_lease_is_a_sentence(world: World) -> None:
    with pytest.raises(ClusterError, match="needs the Lease nobody of the manifests"):
        Lease(world.other(lease="nobody"), identity="one").hold()


# The route


def test_a_split_is_live_once_the_gateway_follows_it(routed: World, acting: Any) -> None:  # noqa: ARG001
    plane = HttpRoutePlane(routed.api)

    plane.apply(Split(5, 98))

    route = route_of(routed)
    said = route["status"]["parents"][0]["conditions"][0]["observedGeneration"]
    assert said == route["metadata"]["generation"]
    sticky = [match["headers"][0]["value"] for match in route["spec"]["rules"][0]["matches"]]
    assert sticky == ["0", "1", "2", "98", "99"]
    assert {ref["name"]: ref["weight"] for ref in route["spec"]["rules"][-1]["backendRefs"]} == {
        "recommender-stable": 95,
        "recommender-canary": 5,
    }


def test_a_split_that_holds_already_is_not_written_again(routed: World, acting: Any) -> None:  # noqa: ARG001
    plane = HttpRoutePlane(routed.api)
    plane.apply(Split(25, 3))
    generation = route_of(routed)["metadata"]["generation"]

    plane.apply(Split(25, 3))
    plane.close()
    plane.close()

    assert route_of(routed)["metadata"]["generation"] == generation


def test_a_gateway_that_says_nothing_is_an_error(routed: World) -> None:
    plane = HttpRoutePlane(routed.other(live_seconds=0.2))

    with pytest.raises(RouteNotLive, match="expected each gateway to accept generation"):
        plane.apply(Split(50, 41))


def test_a_gateway_that_refuses_the_route_is_an_error_at_once(routed: World) -> None:
    plane = HttpRoutePlane(routed.api)
    refusal = threading.Thread(target=refuse, args=(routed, route_of(routed)["metadata"]["generation"]))
    refusal.start()

    with pytest.raises(RouteNotLive, match="ResolvedRefs False, BackendNotFound: no such service"):
        plane.apply(Split(1, 41))
    refusal.join()


def refuse(world: World, before: int) -> None:
    """Say no to the generation that comes after this one."""
    while (route := route_of(world))["metadata"]["generation"] == before:
        time.sleep(0.01)
    said = {"status": "False", "reason": "BackendNotFound", "message": "no such service"}
    said |= {"observedGeneration": route["metadata"]["generation"], "lastTransitionTime": "2026-01-01T00:00:00Z"}
    parent = {"parentRef": route["spec"]["parentRefs"][0], "controllerName": "hands.example.org/gateway"}
    body = {"status": {"parents": [{**parent, "conditions": [{"type": "ResolvedRefs", **said}]}]}}
    where = (GROUP, VERSION, world.api.settings.namespace, PLURAL, world.api.settings.route)
    patch = world.api.custom.patch_namespaced_custom_object_status
    world.api.call(patch, *where, body, _content_type="application/merge-patch+json")


# Deployments and pods


def test_a_version_is_deployed_once_every_pod_says_so(world: World, acting: Any) -> None:  # noqa: ARG001
    deployer = DeploymentDeployer(world.api)

    deployer.deploy("7", fence=1)

    assert deployer.serving() == "7"
    seen = ClusterPods(world.api).seen("stable")
    assert (seen.ready, seen.wanted, seen.versions, seen.said) == (1, 1, ("7",), "")
    assert seen.metrics_urls[0].endswith(f":{world.api.settings.port}")


def test_a_version_that_is_deployed_is_not_deployed_again(world: World, acting: Any) -> None:  # noqa: ARG001
    deployer = DeploymentDeployer(world.api)
    deployer.deploy("8", fence=2)
    before = generation_of(world, world.api.settings.stable)

    deployer.deploy("8", fence=2)

    assert generation_of(world, world.api.settings.stable) == before


def test_the_canarys_pods_are_told_their_rollout_once_beside_what_they_were_told_before(world: World) -> None:
    api, canary = world.api, DeploymentDeployer(world.api, variant="canary")
    read = (api.apps.read_namespaced_deployment, api.settings.canary, api.settings.namespace)
    before = told_to(api.call(*read), api.settings.container)

    canary.want("5", fence=0, rollout="1-5-a")
    first = api.call(*read)
    canary.want("5", fence=0, rollout="1-5-a")
    same = api.call(*read)
    canary.want("5", fence=0, rollout="1-5-b")

    assert told_to(first, api.settings.container) == {**before, "SERVE_ROLLOUT": "1-5-a"}
    assert same.metadata.generation == first.metadata.generation
    assert told_to(api.call(*read), api.settings.container) == {**before, "SERVE_ROLLOUT": "1-5-b"}


def told_to(deployment: Any, container: str) -> dict[str, str | None]:
    containers = deployment.spec.template.spec.containers
    return {one.name: one.value for each in containers if each.name == container for one in each.env or ()}


def generation_of(world: World, name: str) -> int:
    api = world.api
    found = api.call(api.apps.read_namespaced_deployment, name, api.settings.namespace)
    return int(found.metadata.generation)


def test_a_mover_that_comes_too_late_changes_nothing(world: World, acting: Any) -> None:  # noqa: ARG001
    DeploymentDeployer(world.api).deploy("9", fence=9)

    with pytest.raises(Fenced, match="than 8; got 9"):
        DeploymentDeployer(world.other()).deploy("8", fence=8)

    assert DeploymentDeployer(world.api).serving() == "9"


def test_a_missing_image_is_a_failed_deployment_that_says_so(world: World, acting: Any) -> None:
    acting.behaviour["404"] = "image missing"

    with pytest.raises(DeployFailed, match=r"gave up: ProgressDeadlineExceeded; .*ImagePullBackOff"):
        DeploymentDeployer(world.api, variant="canary").deploy("404", fence=1)

    assert "ImagePullBackOff" in ClusterPods(world.api).seen("canary").said


def test_pods_that_are_never_ready_are_a_failed_deployment(world: World, acting: Any) -> None:
    acting.behaviour["13"] = "never ready"

    with pytest.raises(DeployFailed, match=r"to serve version 13 in 0.5 s; got \d of \d pods ready"):
        DeploymentDeployer(world.other(ready_seconds=0.5), variant="canary").deploy("13", fence=2)


def test_an_image_keeps_its_registry_and_changes_its_tag() -> None:
    assert tagged("example.org:5000/team/recommender:1", "2") == "example.org:5000/team/recommender:2"
    assert tagged("recommender@sha256:abc", "2") == "recommender:2"


# Jobs


def test_training_is_a_job_of_the_cron_jobs_template(world: World) -> None:
    api, settings = world.api, world.api.settings

    name = TrainingJobs(api, now=lambda: NOW).start("drift: FAIL")

    job = api.call(api.batch.read_namespaced_job, name, settings.namespace)
    cron = api.call(api.batch.read_namespaced_cron_job, settings.train, settings.namespace)
    template = cron.spec.job_template.spec.template.spec
    assert job.spec.template.spec.containers[0].command == template.containers[0].command
    assert job.spec.template.spec.service_account_name == "recommender-jobs"
    assert job.metadata.annotations["recommender/reason"] == "drift: FAIL"


def test_a_reason_counts_once_a_day(world: World) -> None:
    day, other = (TrainingJobs(world.api, now=lambda now=now: now) for now in (NOW, NOW + timedelta(days=1)))

    names = [day.start("skew"), day.start("skew"), day.start("age"), other.start("skew")]

    assert names[0] == names[1]
    assert len(set(names)) == 3


def test_a_job_tells_its_outcome(world: World) -> None:
    if world.server is None and has_controllers(world.api):
        pytest.skip("the cluster has controllers of its own")
    api, jobs = world.api, TrainingJobs(world.api, now=lambda: NOW)
    told = []

    for reason, conditions in {
        "goes on": [],
        "done": ["SuccessCriteriaMet", "Complete"],
        "broken": ["FailureTarget", "Failed"],
    }.items():
        name = jobs.start(reason)
        begun = {"startTime": "2026-03-01T00:00:00Z"}
        ended = {"completionTime": "2026-03-01T00:01:00Z"} if "Complete" in conditions else {}
        status = {**begun, **ended, "conditions": [{"type": kind, "status": "True"} for kind in conditions]}
        merge = "application/merge-patch+json"
        patch = api.batch.patch_namespaced_job_status
        api.call(patch, name, api.settings.namespace, {"status": status}, _content_type=merge)
        told.append(jobs.outcome(name))

    assert told == ["running", "complete", "failed"]


def test_a_job_that_somebody_deleted_has_failed(world: World) -> None:
    api, jobs = world.api, TrainingJobs(world.api, now=lambda: NOW)
    name = jobs.start("is taken away")

    api.call(api.batch.delete_namespaced_job, name, api.settings.namespace)

    assert jobs.outcome(name) == "failed"


def test_training_needs_a_reason_and_a_cron_job(world: World) -> None:
    with pytest.raises(ClusterError, match="started for a reason; got ' '"):
        TrainingJobs(world.api).start(" ")
    with pytest.raises(Absent, match="404"):
        TrainingJobs(world.other(train="nobody")).start("drift")


# The watch


def test_a_watch_tells_of_pods_that_come_and_change_and_go(world: World) -> None:
    api, namespace = world.api, world.api.settings.namespace
    watch = PodWatch(api, "canary")
    seen: list[tuple[str, str | None]] = []

    def follow() -> None:
        for change in watch.changes():
            seen.append((change.kind, change.pod and change.pod.name))
            if change.kind == "RELISTED":
                begun.set()
            if change.kind == "DELETED":
                watch.stop()

    begun, thread = threading.Event(), threading.Thread(target=follow)
    thread.start()
    assert begun.wait(30)
    labels = {"app.kubernetes.io/name": "recommender", "recommender/variant": "canary"}
    for name, variant in (("watched", "canary"), ("other", "stable")):
        spec = {"containers": [{"name": "recommender", "image": "recommender:1"}]}
        body = {"metadata": {"name": name, "labels": {**labels, "recommender/variant": variant}}, "spec": spec}
        api.call(api.core.create_namespaced_pod, namespace, body)
        api.call(api.core.delete_namespaced_pod, name, namespace, grace_period_seconds=0)
    thread.join(30)

    assert not thread.is_alive()
    mine = [change for change in seen if change[1] == "watched"]
    assert (mine[0][0], mine[-1][0]) == ("ADDED", "DELETED")
    assert all(name in (None, "watched") or name.startswith("recommender-canary") for _, name in seen)


def test_a_watch_that_is_stopped_ends_at_once(world: World) -> None:
    watch = PodWatch(world.api, "canary")
    begun = threading.Event()

    def follow() -> None:
        for _ in watch.changes():
            begun.set()

    thread = threading.Thread(target=follow)
    thread.start()
    assert begun.wait(30)

    watch.stop()

    thread.join(10)
    assert not thread.is_alive()


# Refusals


def test_what_the_server_refuses_is_not_tried_again(world: World) -> None:
    api = world.api

    with pytest.raises(ClusterRefused, match=r"got 422: .*RFC 1123"):
        api.call(api.core.create_namespaced_config_map, api.settings.namespace, {"metadata": {"name": "Not_A_Name"}})


def test_no_cluster_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)

    with pytest.raises(ClusterError, match="a service account or a kubeconfig file; got"):
        open_api(ClusterSettings(), kubeconfig=tmp_path / "nothing")
