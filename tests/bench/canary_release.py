"""One simulated release, judged by the real assess and moved by the real step, from PENDING to its end."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from bench.canary_crowd import Crowd, Seen
from bench.canary_people import people, slates_at
from bench.canary_traffic import REQUESTS_PER_SECOND, TICK_SECONDS, Behaviour, Told
from k8s.evidence.cpu import Cpu
from k8s.evidence.rates import Allotted, Quality, Rate, RateSums
from k8s.evidence.ratio import Products
from k8s.evidence.window import Missing, Operations
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
        self._rates: list[Array] = [np.zeros(20)] * (LAG_LOOKS + 1)  # the rates and both of all looks so far
        self._crowd = Crowd(
            people(),
            slates_at(*(each.click_rate for each in variants)),
            requests_per_look=REQUESTS_PER_SECOND * TICK_SECONDS,
            seconds_per_look=TICK_SECONDS,
            rng=rng,
        )

    def run(self) -> End:
        """To the end."""
        weight = 0
        while not self.rollout.ended:
            weight = self.rollout.weight
            self._step(weight / 100, self.rollout.index)
        seconds = (self._now - START) / timedelta(seconds=1)
        return End(self.rollout.state, weight, self._requests, seconds, self._looks)

    def _step(self, share: float, index: int) -> None:
        """All looks of one step."""
        self._crowd.step_begins()
        before, users = self._requests, np.zeros(2)
        told = [Told.nothing(), Told.nothing()]
        while not self.rollout.ended and self.rollout.index == index:
            seen = _nobody(share) if self._variants[0].silent else self._crowd.look(share)
            users += seen.users
            of_variant = zip(told, self._variants, seen.requests.astype(int).tolist(), strict=True)
            told = [so_far.and_look(behaviour, requests, self._rng) for so_far, behaviour, requests in of_variant]
            self._rates.append(self._rates[-1] + np.append(seen.rates, seen.both))
            self._requests = before + int(told[0].counts[0])
            self._looked(self._evidence(users, *told))

    def _looked(self, evidence: CanaryEvidence) -> None:
        self._now += TICK
        self._looks += 1
        found = assess(self.rollout, evidence)
        self.rollout = step(self.rollout, found.verdict, found.reasons, now=self._now)

    def _evidence(self, users: Array, canary: Told, stable: Told) -> CanaryEvidence:
        if self._variants[0].silent:
            nothing = Missing("nothing was heard")
            return CanaryEvidence(Operations(nothing, stable.window), Quality(nothing, nothing, nothing))
        operations = Operations(canary.window, stable.window, cpu=Cpu(canary.cpu, stable.cpu))
        return CanaryEvidence(operations, _quality(users, self._rates[-1 - LAG_LOOKS]))


def _nobody(share: float) -> Seen:
    """A look at requests whose people nobody hears of, so nobody needs to draw them."""
    requests = np.array([share, 1 - share]) * REQUESTS_PER_SECOND * TICK_SECONDS
    return Seen(np.zeros(2), requests, np.zeros((2, 8)), np.zeros(4))


def _quality(users: Array, rates: Array) -> Quality:
    canary, stable, both = np.split(rates, (8, 16))
    return Quality(
        clicks=Rate(RateSums(*canary.tolist()), RateSums(*stable.tolist()), Products(*both.tolist())),
        conversions=Missing("nothing is sold here"),
        allotted=Allotted(float(users[0]), float(users.sum())),
    )
