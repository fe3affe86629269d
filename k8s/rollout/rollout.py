"""A rollout at one moment: a frozen value that goes into a store and comes back the same."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from pydantic import TypeAdapter, ValidationError

from feature_repo.core.assignment import first_bucket
from feature_repo.core.errors import RecommenderError
from k8s.policy.rules import RolloutPolicy
from k8s.rollout.split import Split
from k8s.rollout.states import ENDS, Event, State

# Moves that are kept: a rollout that is resumed again and again must still fit into a ConfigMap.
KEPT_MOVES = 200


class RolloutUnreadable(RecommenderError):
    """What a state store holds is no rollout."""


@dataclass(frozen=True)
class Move:
    """One entry of a rollout's history: what happened, where it led, and why."""

    at: datetime
    event: Event
    state: State
    index: int
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Rollout:
    """Where a rollout stands and what it needs to go on after a kill.

    The policy is part of the value: a file that changes meanwhile moves no bound under a running rollout. `marks` are
    the observer's own notes on the current step (counters when it began), emptied when a step is entered.
    """

    name: str
    champion: str
    challenger: str
    policy: RolloutPolicy
    started_at: datetime  # of this attempt, UTC
    entered_at: datetime  # of this step
    state: State = State.PENDING
    index: int = -1  # of the policy's steps; -1 before the first
    attempt: int = 1
    paused_at: datetime | None = None
    held_seconds: float = 0.0  # of this step, spent in pauses that are over; its deadline leaves them out
    reasons: tuple[str, ...] = ()
    history: tuple[Move, ...] = ()
    marks: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def begin(cls, name: str, champion: str, challenger: str, policy: RolloutPolicy, *, now: datetime) -> "Rollout":
        """A rollout that has done nothing yet."""
        return cls(name, champion, challenger, policy, started_at=now, entered_at=now)

    @property
    def ended(self) -> bool:
        return self.state in ENDS

    @property
    def weight(self) -> int:
        """Percent of requests that the canary gets: nothing before the first step and after a bad end."""
        if self.state is State.CANARY:
            return self.policy.canary.steps[self.index]
        return 100 if self.state is State.PROMOTED else 0

    @property
    def split(self) -> Split:
        """What the data plane is to do now."""
        return Split(self.weight, first_bucket(self.name), shadow=self.state is State.SHADOW)

    @property
    def last_step(self) -> bool:
        return self.state is State.CANARY and self.index == len(self.policy.canary.steps) - 1

    def seconds_in_step(self, now: datetime) -> float:
        """Seconds that count against the step's deadline: those in pauses do not."""
        until = self.paused_at or now
        return max(0.0, (until - self.entered_at) / timedelta(seconds=1) - self.held_seconds)

    def expired(self, now: datetime) -> bool:
        return self.seconds_in_step(now) >= self.deadline_seconds

    @property
    def deadline_seconds(self) -> float:
        """Of the current step."""
        if self.state is State.PENDING:
            return self.policy.ready_deadline
        if self.state is State.SHADOW and self.policy.shadow:
            return self.policy.shadow.deadline
        return self.policy.canary.deadline

    def to_json(self) -> str:
        text: bytes = _ADAPTER.dump_json(self)
        return text.decode()

    @classmethod
    def from_json(cls, text: str | bytes) -> "Rollout":
        """Read what `to_json` wrote.

        Raises:
            RolloutUnreadable: it is no JSON, a key is missing or unknown, or a value has another type.
        """
        try:
            held = json.loads(text)
            unknown = sorted(set(held) - set(cls.__dataclass_fields__))
            if unknown:
                raise RolloutUnreadable(f"expected the state of a rollout; got the unknown key {unknown[0]!r}")
            return _ADAPTER.validate_python(_strict(held))
        except (ValueError, TypeError) as error:
            raise RolloutUnreadable(f"expected the state of a rollout; got {_first_line(error)}") from error


def _strict(held: Mapping[str, Any]) -> Mapping[str, Any]:
    if not isinstance(held, Mapping):
        raise TypeError(f"a {type(held).__name__}")
    return held


def _first_line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return str(error).splitlines()[0]


_ADAPTER: TypeAdapter[Rollout] = TypeAdapter(Rollout)
