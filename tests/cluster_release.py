"""A release on a fake cluster: a controller with every real port, and evidence that says what a test wants."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from typing import Any

from cluster_world import World

from k8s.cluster.api import Api
from k8s.cluster.deployer import DeploymentDeployer
from k8s.cluster.http_route import HttpRoutePlane
from k8s.cluster.lease import Lease
from k8s.cluster.pods import ClusterPods
from k8s.cluster.state_store import ConfigMapStore
from k8s.controller.loop import Controller, Ports
from k8s.controller.metrics import ControllerMetrics, controller_metrics
from k8s.controller.settings import ControllerSettings
from k8s.policy.rules import CanaryPolicy, RolloutPolicy
from k8s.rollout.pods import PodsSeen
from k8s.rollout.ready import assess_ready
from k8s.rollout.rollout import Rollout
from k8s.rollout.states import State
from k8s.rollout.tick import Assessment, Observation
from training.verdict import Verdict

START = datetime(2026, 3, 1, tzinfo=UTC)
STEPS = ("SHADOW -1", "CANARY 0", "CANARY 1", "CANARY 2", "PROMOTED 2")
POLICY = RolloutPolicy(
    canary=CanaryPolicy(steps=(5, 25, 50), clicks=None, conversions=None, min_time="0.1 s", deadline="1 h"),
    ready_deadline="10 min",
)


class Time:
    """A clock that a test turns; every reading of `now` is a second later, as ticks are."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        self.seconds += 0.5
        return START + timedelta(seconds=self.seconds)


class RealTime(Time):
    """The machine's own clock."""

    def monotonic(self) -> float:
        return time.monotonic()


@dataclass
class Evidence:
    """PENDING is judged by the real pods; each later step by `verdicts`, PASS where they say nothing."""

    pods: ClusterPods
    verdicts: dict[tuple[State, int], Verdict] = field(default_factory=dict)
    on_look: Callable[[Rollout], object] = lambda _: None

    def observe(self, rollout: Rollout, *, now: datetime) -> Observation[Any]:
        self.on_look(rollout)
        if rollout.state is State.PENDING:
            return Observation((self.pods.seen("stable"), self.pods.seen("canary")), {})
        verdict = self.verdicts.get((rollout.state, rollout.index), Verdict.PASS)
        return Observation(verdict, {"looked": now.isoformat()})


def assess(rollout: Rollout, evidence: tuple[PodsSeen, PodsSeen] | Verdict) -> Assessment:
    if isinstance(evidence, Verdict):
        return Assessment(evidence, (f"said to be {evidence}",))
    return assess_ready(rollout, *evidence)


@dataclass
class Release:
    """One controller and what it works with. Built by `release_on`."""

    controller: Controller
    evidence: Evidence
    metrics: ControllerMetrics
    store: ConfigMapStore
    time: Time

    def turns_until(self, *states: State, most: int = 40) -> Rollout:
        """Turn, once a second, until the rollout is in one of these states."""
        for _ in range(most):
            self.controller.turn()
            self.time.seconds += 1
            held = self.store.load()
            if held and held[0].state in states:
                return held[0]
        raise AssertionError(f"expected {states} within {most} turns; got {held}")


def release_on(world: World, *, time: Time, name: str = "one", api: Api | None = None) -> Release:
    api = api or world.api
    pods, lease = ClusterPods(api), Lease(api, identity=name, clock=time.monotonic)
    evidence, metrics = Evidence(pods), controller_metrics()
    ports = Ports(
        lease=lease,
        store=ConfigMapStore(api),
        plane=HttpRoutePlane(api),
        pods=pods,
        canary=DeploymentDeployer(api, variant="canary"),
        looks=evidence,
        assess=assess,
        clock=time.now,
    )
    settings = ControllerSettings(identity=name, port=0, turn_seconds=0.02)
    controller = Controller(ports, settings=settings, metrics=metrics)
    return Release(controller, evidence, metrics, ConfigMapStore(world.api), time)


def begin(world: World, policy: RolloutPolicy = POLICY, *, challenger: str = "2") -> None:
    """Let a rollout begin, on a cluster where an earlier one may have ended."""
    api, settings = world.api, world.api.settings
    empty = {"metadata": {"name": settings.state}, "data": {}}
    api.call(api.core.replace_namespaced_config_map, settings.state, settings.namespace, empty)
    api.call(api.coordination.delete_namespaced_lease, settings.lease, settings.namespace)
    api.call(api.coordination.create_namespaced_lease, settings.namespace, {"metadata": {"name": settings.lease}})
    ConfigMapStore(api).save(Rollout.begin(f"release-{challenger}", "1", challenger, policy, now=START), None)


def moves(rollout: Rollout) -> tuple[str, ...]:
    """The states and steps that a rollout went through, each as often as it was entered."""
    return tuple(f"{move.state} {move.index}" for move in rollout.history)


def weights(world: World) -> dict[str, int]:
    """The share of each Service for requests without a bucket."""
    assert world.server is not None
    route = world.server.objects.read(("httproutes", world.api.settings.namespace, world.api.settings.route))
    return {backend["name"]: backend["weight"] for backend in route["spec"]["rules"][-1]["backendRefs"]}


class Killed(BaseException):
    """The controller's process ended here."""


class MortalApi(Api):
    """An Api whose process is killed at its n-th write: right before it is sent, or right after it was done."""

    @classmethod
    def of(cls, api: Api, *, at: int, after: bool) -> "MortalApi":
        made = cls(**{one.name: getattr(api, one.name) for one in fields(api)})
        object.__setattr__(made, "_left", [at])
        object.__setattr__(made, "_after", after)
        return made

    def call(self, verb: Callable[..., Any], *args: Any, **options: Any) -> Any:
        writes = verb.__name__.startswith(("patch_", "replace_", "create_", "delete_"))
        left: list[int] = self._left  # type: ignore[attr-defined]
        left[0] -= writes
        dies = writes and left[0] == 0
        if dies and not self._after:  # type: ignore[attr-defined]
            raise Killed
        done = super().call(verb, *args, **options)
        if dies:
            raise Killed
        return done
