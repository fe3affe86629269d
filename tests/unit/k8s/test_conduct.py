"""The loop, with a data plane that remembers and pods that say what they are told to."""

import math

import pytest

from k8s.assess import Assessment
from k8s.conduct import conduct
from k8s.evidence import Latencies, Missing, OperationsEvidence, Window
from k8s.observe import Observation
from k8s.policy import Policy
from k8s.replay import Tally
from k8s.rollout import Rollout, State
from training.verdict import Verdict

POLICY = Policy(steps=(10, 100), max_step_requests=3000)
READY = Assessment(Verdict.PASS, ("ready",))


class Plane:
    """Remembers the weights."""

    def __init__(self) -> None:
        self.weights: list[int] = []

    def set_weight(self, percent: int) -> None:
        self.weights.append(percent)

    def close(self) -> None:
        """Nothing is held."""


class Pods:
    """Says the same of the canary at every look; None stands for a look that breaks."""

    def __init__(self, canary: Window | Missing | None) -> None:
        self.canary = canary

    def observe(self, _rollout: Rollout, _weight: int) -> Observation:
        if self.canary is None:
            raise KeyboardInterrupt
        evidence = OperationsEvidence(self.canary, window(1350))
        return Observation(evidence, Tally(requests=1000), seconds=1.0, exhausted=False)


def window(requests: int, *, errors: int = 0) -> Window:
    return Window(requests, errors, 0, Latencies((5.0, math.inf), (requests, 0)))


def test_good_evidence_promotes_and_leaves_everything_with_the_new_version() -> None:
    plane = Plane()

    outcome = conduct(READY, POLICY, plane=plane, looks=Pods(window(200)))

    assert outcome.state is State.PROMOTED
    assert plane.weights == [10, 100, 100]
    assert [step.weight for step in outcome.steps] == [10, 100]


def test_bad_evidence_rolls_back_and_takes_the_weight_away() -> None:
    plane = Plane()

    outcome = conduct(READY, POLICY, plane=plane, looks=Pods(window(200, errors=50)))

    assert outcome.state is State.ROLLED_BACK
    assert plane.weights == [10, 0]


def test_no_evidence_holds_until_the_deadline_and_halts() -> None:
    plane = Plane()

    outcome = conduct(READY, POLICY, plane=plane, looks=Pods(Missing("gone")))

    assert outcome.state is State.HALTED
    assert plane.weights == [10, 10, 10, 0]
    assert (outcome.steps[0].looks, outcome.steps[0].tally.requests) == (3, 3000)
    assert outcome.reasons == ("canary: no evidence: gone",)


def test_a_canary_that_is_not_ready_halts_without_a_look() -> None:
    plane = Plane()

    outcome = conduct(Assessment(Verdict.INCONCLUSIVE, ("late",)), POLICY, plane=plane, looks=Pods(None))

    assert (outcome.state, outcome.reasons, outcome.steps) == (State.HALTED, ("late",), ())
    assert plane.weights == [0]


def test_an_interrupted_rollout_takes_the_weight_away() -> None:
    plane = Plane()

    with pytest.raises(KeyboardInterrupt):
        conduct(READY, POLICY, plane=plane, looks=Pods(None))

    assert plane.weights == [10, 0]
