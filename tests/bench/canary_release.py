"""One simulated release, judged by the real assess and moved by the real step, from PENDING to its end."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from bench.canary_traffic import BOUNDS_MS, TICK_SECONDS, Behaviour, draw
from k8s.evidence.rates import Allotted, Quality, Rate, RateSums
from k8s.evidence.window import Latencies, Missing, Operations, Window
from k8s.judgement.assess import CanaryEvidence, assess
from k8s.policy.rules import RolloutPolicy
from k8s.rollout.rollout import Rollout
from k8s.rollout.states import State
from k8s.rollout.step import step
from training.verdict import Verdict

Array = np.ndarray[Any, Any]

START = datetime(2026, 1, 1, tzinfo=UTC)
TICK = timedelta(seconds=TICK_SECONDS)
# A click counts when its attribution window of a minute is over: so many looks later.
LAG_LOOKS = 6
# Looks that are drawn at once, since one by one would cost most of the time.
CHUNK_LOOKS = 24
_NO_RATES = np.zeros((2, 8))


@dataclass(frozen=True)
class End:
    """How a release ended."""

    state: State
    weight: int  # of the step that ended it
    canary_requests: int
    seconds: float
    looks: int


class Release:
    """A release under way: what its current step and its whole rollout have seen so far. Variant 0 is the canary."""

    def __init__(self, variants: tuple[Behaviour, Behaviour], policy: RolloutPolicy, rng: np.random.Generator) -> None:
        self._variants = variants
        self._rng = rng
        begun = Rollout.begin("1-2", "1", "2", policy, now=START)
        self.rollout = step(begun, Verdict.PASS, ("ready",), now=START)
        self._now = START
        self._looks = 0
        self._requests = 0
        self._rates: list[Array] = [_NO_RATES] * (LAG_LOOKS + 1)

    def run(self) -> End:
        """To the end."""
        weight = 0
        while not self.rollout.ended:
            weight = self.rollout.weight
            self._step(weight, self.rollout.index)
        seconds = (self._now - START) / timedelta(seconds=1)
        return End(self.rollout.state, weight, self._requests, seconds, self._looks)

    def _step(self, weight: int, index: int) -> None:
        """All looks of one step."""
        counts, latencies = np.zeros((2, 4)), np.zeros((2, len(BOUNDS_MS)))
        before = self._requests
        while not self.rollout.ended and self.rollout.index == index:
            shares = (weight / 100, 1 - weight / 100)
            drawn = [
                draw(each, share, CHUNK_LOOKS, self._rng) for each, share in zip(self._variants, shares, strict=True)
            ]
            counted = counts + np.stack([each.counts for each in drawn], axis=1).cumsum(axis=0)
            timed = latencies + np.stack([each.latencies for each in drawn], axis=1).cumsum(axis=0)
            rated = self._rates[-1] + np.stack([each.rates for each in drawn], axis=1).cumsum(axis=0)
            for look in range(CHUNK_LOOKS):
                self._rates.append(rated[look])
                self._look(counted[look], timed[look])
                self._requests = before + int(counted[look, 0, 1])
                if self.rollout.ended or self.rollout.index != index:
                    return
            counts, latencies = counted[-1], timed[-1]

    def _look(self, counts: Array, latencies: Array) -> None:
        self._now += TICK
        self._looks += 1
        found = assess(self.rollout, self._evidence(counts, latencies))
        self.rollout = step(self.rollout, found.verdict, found.reasons, now=self._now)

    def _evidence(self, counts: Array, latencies: Array) -> CanaryEvidence:
        stable = _window(counts[1], latencies[1])
        if self._variants[0].silent:
            nothing = Missing("nothing was heard")
            return CanaryEvidence(Operations(nothing, stable), Quality(nothing, nothing, nothing))
        canary = _window(counts[0], latencies[0])
        return CanaryEvidence(Operations(canary, stable), _quality(counts, self._rates[-1 - LAG_LOOKS]))


def _window(counts: Array, latencies: Array) -> Window:
    _, requests, errors, degraded = counts.tolist()
    return Window(requests, errors, degraded, Latencies(BOUNDS_MS, tuple(latencies.tolist())))


def _quality(counts: Array, rates: Array) -> Quality:
    canary, stable = (RateSums(*sums) for sums in rates.tolist())
    users = counts[:, 0].tolist()
    return Quality(
        clicks=Rate(canary, stable),
        conversions=Missing("nothing is sold here"),
        allotted=Allotted(users[0], sum(users)),
    )
