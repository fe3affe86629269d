"""The rollout machine's states, events and transitions, as one table. No I/O, no clock.

    PENDING -> SHADOW -> CANARY(1) -> CANARY(5) -> CANARY(25) -> CANARY(50) -> PROMOTED
       |         |          |            |             |             |
       +---------+----------+------------+-------------+-------------+--> ROLLED_BACK (it is worse, or was called off)
                                                                      or HALTED (nobody can tell; resume starts anew)

An event that the table does not list for a state is refused and never a silent stay. INCONCLUSIVE holds a step until
its deadline; there it halts, because missing evidence is never success.
"""

from enum import StrEnum

from feature_repo.core.errors import RecommenderError


class State(StrEnum):
    """Where a rollout stands. PROMOTED and ROLLED_BACK are final; HALTED waits for a person."""

    PENDING = "PENDING"
    SHADOW = "SHADOW"
    CANARY = "CANARY"
    PROMOTED = "PROMOTED"
    ROLLED_BACK = "ROLLED_BACK"
    HALTED = "HALTED"


class Event(StrEnum):
    """What happened to the current step, or what an operator asked for."""

    READY = "READY"  # the pods answer, and no shadow is wanted
    READY_SHADOW = "READY_SHADOW"  # the pods answer, and a shadow is wanted first
    PASSED = "PASSED"
    PASSED_LAST = "PASSED_LAST"
    FAILED = "FAILED"
    UNDECIDED = "UNDECIDED"
    EXPIRED = "EXPIRED"
    PAUSE = "PAUSE"
    RESUME = "RESUME"
    RESTART = "RESTART"  # resume of a halted rollout
    ABORT = "ABORT"
    SKIP = "SKIP"


TRANSITIONS: dict[tuple[State, Event], State] = {
    (State.PENDING, Event.READY): State.CANARY,
    (State.PENDING, Event.READY_SHADOW): State.SHADOW,
    (State.PENDING, Event.FAILED): State.ROLLED_BACK,
    (State.PENDING, Event.UNDECIDED): State.PENDING,
    (State.PENDING, Event.EXPIRED): State.HALTED,
    (State.PENDING, Event.ABORT): State.ROLLED_BACK,
    (State.SHADOW, Event.PASSED): State.CANARY,
    (State.SHADOW, Event.FAILED): State.ROLLED_BACK,
    (State.SHADOW, Event.UNDECIDED): State.SHADOW,
    (State.SHADOW, Event.EXPIRED): State.HALTED,
    (State.SHADOW, Event.PAUSE): State.SHADOW,
    (State.SHADOW, Event.RESUME): State.SHADOW,
    (State.SHADOW, Event.ABORT): State.ROLLED_BACK,
    (State.SHADOW, Event.SKIP): State.CANARY,
    (State.CANARY, Event.PASSED): State.CANARY,
    (State.CANARY, Event.PASSED_LAST): State.PROMOTED,
    (State.CANARY, Event.FAILED): State.ROLLED_BACK,
    (State.CANARY, Event.UNDECIDED): State.CANARY,
    (State.CANARY, Event.EXPIRED): State.HALTED,
    (State.CANARY, Event.PAUSE): State.CANARY,
    (State.CANARY, Event.RESUME): State.CANARY,
    (State.CANARY, Event.ABORT): State.ROLLED_BACK,
    (State.CANARY, Event.SKIP): State.CANARY,
    (State.HALTED, Event.RESTART): State.PENDING,
    (State.HALTED, Event.ABORT): State.ROLLED_BACK,
}

ENDS = frozenset({State.PROMOTED, State.ROLLED_BACK, State.HALTED})


class UnknownTransition(RecommenderError):
    """The table has no entry for this event in this state."""


def next_state(state: State, event: Event) -> State:
    """Where an event leads."""
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        known = ", ".join(event for at, event in TRANSITIONS if at is state) or "nothing"
        raise UnknownTransition(f"a rollout that is {state} takes {known}; got {event}") from None
