"""The rollout machine: states, events and transitions as one table. No I/O, no clock.

    PENDING -> CANARY(10) -> CANARY(50) -> CANARY(100) -> PROMOTED
       |          |             |             |
       +----------+------+------+-------------+--> ROLLED_BACK (it is worse) or HALTED (nobody can tell)

A verdict becomes an event, and the table says where the event leads. An event that the table does not list
for a state is an error and never a silent stay. INCONCLUSIVE holds the step until its deadline; there it
halts, because missing evidence is never success. Whoever runs the machine adds what a step has used up with
`spend`.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from k8s.policy import Policy
from training.verdict import Verdict


class State(StrEnum):
    """Where a rollout stands. PROMOTED, ROLLED_BACK and HALTED are ends."""

    PENDING = "PENDING"
    CANARY = "CANARY"
    PROMOTED = "PROMOTED"
    ROLLED_BACK = "ROLLED_BACK"
    HALTED = "HALTED"


class Event(StrEnum):
    """What happened to the current step."""

    PASSED = "PASSED"
    PASSED_LAST = "PASSED_LAST"
    FAILED = "FAILED"
    UNDECIDED = "UNDECIDED"
    EXPIRED = "EXPIRED"


TRANSITIONS: dict[tuple[State, Event], State] = {
    (State.PENDING, Event.PASSED): State.CANARY,
    (State.PENDING, Event.FAILED): State.ROLLED_BACK,
    (State.PENDING, Event.UNDECIDED): State.PENDING,
    (State.PENDING, Event.EXPIRED): State.HALTED,
    (State.CANARY, Event.PASSED): State.CANARY,
    (State.CANARY, Event.PASSED_LAST): State.PROMOTED,
    (State.CANARY, Event.FAILED): State.ROLLED_BACK,
    (State.CANARY, Event.UNDECIDED): State.CANARY,
    (State.CANARY, Event.EXPIRED): State.HALTED,
}

ENDS = frozenset({State.PROMOTED, State.ROLLED_BACK, State.HALTED})


class UnknownTransitionError(LookupError):
    """The table has no entry for this event in this state."""


@dataclass(frozen=True)
class Rollout:
    """A rollout at one moment. `index` is the step of the policy; before the first it is -1."""

    state: State = State.PENDING
    index: int = -1
    requests: int = 0
    seconds: float = 0.0
    exhausted: bool = False

    @property
    def ended(self) -> bool:
        return self.state in ENDS


def weight_of(rollout: Rollout, policy: Policy) -> int:
    """Percent of requests that the canary gets: nothing before the first step and after a bad end."""
    if rollout.state is State.CANARY:
        return policy.steps[rollout.index]
    return 100 if rollout.state is State.PROMOTED else 0


def spend(rollout: Rollout, *, requests: int, seconds: float, exhausted: bool = False) -> Rollout:
    """Charge the current step with what was used; `exhausted` says that no more traffic will come."""
    return replace(
        rollout,
        requests=rollout.requests + requests,
        seconds=rollout.seconds + seconds,
        exhausted=rollout.exhausted or exhausted,
    )


def step(rollout: Rollout, verdict: Verdict, policy: Policy) -> Rollout:
    """Move by one verdict. A step that is left starts with nothing used; an end keeps what its last step
    used.
    """
    event = _event(rollout, verdict, policy)
    if (rollout.state, event) not in TRANSITIONS:
        raise UnknownTransitionError(f"expected an event that {rollout.state} knows; got {event}")
    state = TRANSITIONS[rollout.state, event]
    if event is Event.PASSED:
        return Rollout(state=state, index=rollout.index + 1)
    return replace(rollout, state=state)


def _event(rollout: Rollout, verdict: Verdict, policy: Policy) -> Event:
    if verdict is Verdict.PASS:
        return Event.PASSED_LAST if rollout.index == len(policy.steps) - 1 else Event.PASSED
    if verdict is Verdict.FAIL:
        return Event.FAILED
    return Event.EXPIRED if _expired(rollout, policy) else Event.UNDECIDED


def _expired(rollout: Rollout, policy: Policy) -> bool:
    used_up = rollout.requests >= policy.max_step_requests or rollout.seconds >= policy.max_step_seconds
    return used_up or rollout.exhausted
