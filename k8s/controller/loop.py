"""The controller's loop: hold the Lease, and bring the rollout and the cluster one tick further.

Every turn starts from the stored state and repeats what that state asks of the cluster. So it does not matter where an
earlier turn ended, in this process or in another. What goes wrong in a turn leaves the state where it was; the turn is
counted, told, and made again.
"""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from feature_repo.core.errors import RecommenderError
from k8s.cluster.deployer import DeploymentDeployer
from k8s.cluster.lease import Lease
from k8s.controller.guarded import GuardedPlane, GuardedStore
from k8s.controller.metrics import ControllerMetrics
from k8s.controller.reports import Silent, Tells
from k8s.controller.resting import resting_split
from k8s.controller.settings import ControllerSettings
from k8s.dataplane.port import DataPlane
from k8s.rollout.pods import Pods
from k8s.rollout.rollout import Rollout
from k8s.rollout.store import StateStore
from k8s.rollout.tick import Assess, Looks, tick

logger = logging.getLogger("k8s.controller")


@dataclass(frozen=True)
class Ports:
    """Everything that a controller touches."""

    lease: Lease
    store: StateStore
    plane: DataPlane
    pods: Pods
    canary: DeploymentDeployer
    looks: Looks[Any]
    assess: Assess[Any]
    clock: Callable[[], datetime]
    reports: Tells = field(default_factory=Silent)


class Controller:
    """One controller. `wake`, and `leave`, are for other threads and for signal handlers."""

    def __init__(self, ports: Ports, *, settings: ControllerSettings, metrics: ControllerMetrics) -> None:
        self._stop = threading.Event()
        self.wake = threading.Event()
        self._ports = ports
        self._settings = settings
        self._metrics = metrics
        self._plane = GuardedPlane(ports.plane, ports.lease)
        self._store = GuardedStore(ports.store, ports.lease)
        self._turned: float | None = None

    def run(self) -> None:
        """Turn until stopped; then let the next controller in at once."""
        try:
            while not self._stop.is_set():
                self.wake.clear()
                self.turn()
                if not self._stop.is_set():
                    self.wake.wait(self._settings.turn_seconds)
        finally:
            with suppress(RecommenderError):  # it runs out by itself where the API server is away
                self._ports.lease.release()
            self._ports.plane.close()

    def leave(self) -> None:
        """End after the turn under way."""
        self._stop.set()
        self.wake.set()

    def turn(self) -> str:
        """One turn and what came of it: waiting, idle, ended, ticked or failed."""
        try:
            outcome = self._turn()
        except RecommenderError as error:
            outcome = "failed"
            self._metrics.errors.labels(type(error).__name__).inc()
            logger.warning("turn_failed kind=%s error=%s", type(error).__name__, error)
        self._metrics.turns.labels(outcome).inc()
        self._metrics.last_turn.set_to_current_time()
        self._turned = time.monotonic()
        return outcome

    @property
    def alive(self) -> bool:
        """Whether the last turn ended not too long ago."""
        return self._turned is not None and time.monotonic() - self._turned < self._settings.stuck_seconds

    def _turn(self) -> str:
        leading = False
        try:
            leading = self._ports.lease.hold()
        finally:
            self._metrics.leading.set(leading)
        held = self._ports.store.load()
        self._metrics.show(held[0] if held else None)
        if not leading:
            return "waiting"
        if held is None:
            return "idle"
        return self._rest(held[0]) if held[0].ended else self._tick(held[0])

    def _rest(self, rollout: Rollout) -> str:
        self._plane.apply(resting_split(rollout, self._ports.pods.seen("stable")))
        self._ports.reports.ended(rollout)
        return "ended"

    def _tick(self, rollout: Rollout) -> str:
        ports = self._ports
        ports.lease.check()
        if (fence := ports.canary.fence()) > ports.lease.fence:
            ports.lease.rise_above(fence)
        ports.canary.want(rollout.challenger, fence=ports.lease.fence, rollout=rollout.name)
        done = tick(self._store, plane=self._plane, looks=ports.looks, assess=ports.assess, clock=ports.clock)
        if (done.before.state, done.before.index) != (done.after.state, done.after.index):
            logger.info(
                "rollout_moved name=%s from=%s to=%s weight=%s why=%s",
                done.after.name,
                done.before.state,
                done.after.state,
                done.after.weight,
                "; ".join(done.after.reasons),
            )
        self._metrics.show(done.after)
        ports.reports.looked(done)
        return "ticked"
