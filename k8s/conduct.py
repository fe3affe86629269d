"""The loop that conducts a rollout: apply the weight, look, judge, step, until an end."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from k8s.assess import Assessment, assess
from k8s.dataplane.port import DataPlane
from k8s.observe import Observation
from k8s.policy import Policy
from k8s.replay import Tally
from k8s.rollout import Rollout, State, spend, step, weight_of


class Looks(Protocol):
    """Whoever can look at a step; `k8s.observe.Observer` is the one for real pods."""

    def observe(self, rollout: Rollout, weight: int) -> Observation:
        """Let traffic flow at this weight and say what was seen."""


@dataclass(frozen=True)
class StepRecord:
    """A step as it stood after its latest look."""

    index: int
    weight: int
    looks: int
    seconds: float
    tally: Tally
    observation: Observation
    assessment: Assessment


@dataclass(frozen=True)
class Outcome:
    """How a rollout ended, why, and by which steps."""

    state: State
    reasons: tuple[str, ...]
    steps: tuple[StepRecord, ...]


def conduct(
    readiness: Assessment,
    policy: Policy,
    *,
    plane: DataPlane,
    looks: Looks,
    tell: Callable[[StepRecord], None] = lambda _: None,
) -> Outcome:
    """Run a rollout to its end. Whatever happens on the way, the canary is left with the weight of that end,
    or none.
    """
    # Readiness was waited for as long as it may take: nothing more is to come for this step.
    rollout = step(Rollout(exhausted=True), readiness.verdict, policy)
    records: dict[int, StepRecord] = {}
    reasons = readiness.reasons
    try:
        while not rollout.ended:
            plane.set_weight(weight_of(rollout, policy))
            record = _look(rollout, policy, looks, before=records.get(rollout.index))
            records[rollout.index] = record
            reasons = record.assessment.reasons
            tell(record)
            rollout = step(_spent(rollout, record.observation), record.assessment.verdict, policy)
    finally:
        plane.set_weight(weight_of(rollout, policy) if rollout.ended else 0)
    return Outcome(rollout.state, reasons, tuple(records.values()))


def _look(rollout: Rollout, policy: Policy, looks: Looks, *, before: StepRecord | None) -> StepRecord:
    weight = weight_of(rollout, policy)
    seen = looks.observe(rollout, weight)
    return StepRecord(
        index=rollout.index,
        weight=weight,
        looks=before.looks + 1 if before else 1,
        seconds=(before.seconds if before else 0.0) + seen.seconds,
        tally=(before.tally if before else Tally()) + seen.tally,
        observation=seen,
        assessment=assess(seen.evidence, policy),
    )


def _spent(rollout: Rollout, seen: Observation) -> Rollout:
    return spend(rollout, requests=seen.tally.requests, seconds=seen.seconds, exhausted=seen.exhausted)
