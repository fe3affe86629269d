"""Whether to start a training now: signals and the record of earlier trainings in, a decision out."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from monitoring.retraining.journal import Training
from monitoring.retraining.policy import RetrainingPolicy
from monitoring.retraining.signals import Signal
from training.verdict import Verdict


class Action(StrEnum):
    """START a training; HOLD it although something asks for it; NOTHING asks for one."""

    START = "START"
    HOLD = "HOLD"
    NOTHING = "NOTHING"


@dataclass(frozen=True)
class Decision:
    """`triggers` are the names of the signals that ask for a training, `reasons` sentences for people."""

    action: Action
    triggers: tuple[str, ...]
    reasons: tuple[str, ...]


def decide(
    signals: Sequence[Signal], trainings: Sequence[Training], policy: RetrainingPolicy, *, now: datetime
) -> Decision:
    """FAIL of a signal that the policy names is a trigger; INCONCLUSIVE never is. `trainings` in order of time."""
    asking = [signal for signal in signals if signal.verdict is Verdict.FAIL and signal.name in policy.triggers]
    said = tuple(signal.reason for signal in (asking or signals))
    triggers = tuple(signal.name for signal in asking)
    if not asking:
        return Decision(Action.NOTHING, (), said)
    against = _against(trainings, policy, now=now)
    if against:
        return Decision(Action.HOLD, triggers, (against, *said))
    return Decision(Action.START, triggers, said)


def _against(trainings: Sequence[Training], policy: RetrainingPolicy, *, now: datetime) -> str | None:
    """Why no training may start now; a failed one counts as any other, or a broken one would be started all day."""
    if not trainings:
        return None
    newest = trainings[-1]
    if newest.outcome is None:
        return f"training {newest.id} is not finished"
    rest = newest.at + timedelta(hours=policy.cooldown_hours)
    if now < rest:
        return f"training {newest.id} was started {newest.at.isoformat()}; the next one may start {rest.isoformat()}"
    today = sum(training.at.astimezone(UTC).date() == now.astimezone(UTC).date() for training in trainings)
    if today >= policy.a_day:
        return f"{today} trainings were started today; {policy.a_day} a day are allowed"
    return None
