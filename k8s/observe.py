"""One look at a step: send traffic, read both pods, and put the two windows side by side."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import httpx

from k8s.evidence import Missing, OperationsEvidence, Window
from k8s.metrics import Scrape, difference, scrape
from k8s.policy import Policy
from k8s.replay import Replay, Tally
from k8s.rollout import Rollout

# A split by weight is exact over many requests and may be off by a few over any stretch of them.
SPARE_CANARY_REQUESTS = 5


@dataclass(frozen=True)
class Pods:
    """Where the two variants themselves answer, and where the gateway before them does."""

    stable: str
    canary: str
    gateway: str


@dataclass(frozen=True)
class Observation:
    """What one look saw: the step's evidence so far, and what this look cost."""

    evidence: OperationsEvidence
    tally: Tally
    seconds: float
    exhausted: bool


class Observer:
    """Looks at pods while events are replayed. Evidence is that of the whole step, so it grows with each
    look.
    """

    def __init__(
        self,
        pods: Pods,
        *,
        replay: Replay,
        client: httpx.Client,
        policy: Policy,
        sent: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._pods = pods
        self._replay = replay
        self._client = client
        self._policy = policy
        self._sent = sent
        self._index = -1
        self._began: tuple[Scrape | Missing, Scrape | Missing] = (
            Missing("no scrape yet"),
            Missing("no scrape yet"),
        )
        self._earlier: Window | Missing = Missing("no earlier step")
        self._last: tuple[Window | Missing, float] = (Missing("no earlier step"), 0.0)

    def observe(self, rollout: Rollout, weight: int) -> Observation:
        """Send what the step still needs at this weight, then read both pods."""
        began = time.monotonic()
        self._enter(rollout.index)
        asked = self._requests_wanted(rollout, weight)
        left = self._policy.max_step_seconds - rollout.seconds
        tally = self._replay.send(self._pods.gateway, asked, seconds=left, tell=self._sent)
        evidence = self._evidence(weight)
        seconds = time.monotonic() - began
        return Observation(evidence, tally, seconds, exhausted=tally.requests < asked and seconds < left)

    def _enter(self, index: int) -> None:
        """At a new step the windows start anew; a scrape that failed is tried again."""
        if index != self._index:
            self._index = index
            self._earlier = _joined(self._earlier, self._last[0])
            self._began = (Missing("no scrape yet"), Missing("no scrape yet"))
        canary, stable = self._began
        self._began = (
            scrape(self._client, self._pods.canary) if isinstance(canary, Missing) else canary,
            scrape(self._client, self._pods.stable) if isinstance(stable, Missing) else stable,
        )

    def _requests_wanted(self, rollout: Rollout, weight: int) -> int:
        wanted = math.ceil((self._policy.min_canary_requests + SPARE_CANARY_REQUESTS) * 100 / weight)
        return min(wanted, self._policy.max_step_requests - rollout.requests)

    def _evidence(self, weight: int) -> OperationsEvidence:
        canary = difference(self._began[0], scrape(self._client, self._pods.canary))
        if weight == 100:
            return OperationsEvidence(canary, self._earlier, time.monotonic() - self._last[1])
        stable = difference(self._began[1], scrape(self._client, self._pods.stable))
        self._last = (stable, time.monotonic())
        return OperationsEvidence(canary, stable)


def _joined(earlier: Window | Missing, last: Window | Missing) -> Window | Missing:
    """The stable's windows of all steps that are over; a step without evidence adds nothing."""
    if isinstance(earlier, Missing):
        return last
    return earlier if isinstance(last, Missing) else earlier + last
