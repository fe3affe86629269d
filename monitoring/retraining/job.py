"""`python -m monitoring retrain`: finish what an earlier run began, look at the signals, start a training or not.

The intent is on disk before the training starts, under a name of its own that the trainer knows it by: killed between
the two, the next run starts it; killed after the start, the next run asks for the same training and gets its name.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from filelock import FileLock, Timeout

from feature_repo.core.errors import RecommenderError
from feature_repo.core.workspace import Workspace
from monitoring.retraining.decide import Action, Decision, decide
from monitoring.retraining.journal import FINISHED, HELD, INTENT, STARTED, Journal, Training
from monitoring.retraining.policy import RetrainingPolicy
from monitoring.retraining.signals import Signal
from monitoring.retraining.trainer import COMPLETE, RUNNING, Trainer


class RetrainingBusy(RecommenderError):
    """Another run of this command is deciding."""


@dataclass(frozen=True)
class Outcome:
    """`decision` with its `signals`; `started` is the training that began, `settled` those that were found finished."""

    decision: Decision
    signals: tuple[Signal, ...]
    started: str | None
    settled: tuple[Training, ...]


def journal_of(workspace: Workspace) -> Journal:
    return Journal(workspace.store / "audit" / "retraining.jsonl")


def last_start(workspace: Workspace) -> datetime | None:
    """When the newest training was begun."""
    trainings = journal_of(workspace).trainings()
    return trainings[-1].at if trainings else None


def retrain(
    workspace: Workspace,
    policy: RetrainingPolicy,
    look: Callable[[], Sequence[Signal]],
    *,
    trainer: Callable[[datetime], Trainer],
    newest: Callable[[], str | None],
    now: datetime,
    dry_run: bool = False,
) -> Outcome:
    """`look` gives the signals. `trainer` gives the one that starts trainings of a moment, since some tell them apart
    by the day; `newest` names the version that the last training registered. A dry run writes and starts nothing.

    Raises:
        RetrainingBusy: another run is deciding.
    """
    journal = journal_of(workspace)
    if dry_run:
        signals = tuple(look())
        return Outcome(decide(signals, journal.trainings(), policy, now=now), signals, None, ())
    (workspace.store / "audit").mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(workspace.store / "audit" / "retraining.lock", timeout=0):
            settled = _settle(journal, trainer, newest, now=now)
            signals = tuple(look())
            decision = decide(signals, journal.trainings(), policy, now=now)
            started = _act(journal, decision, trainer, now=now)
            return Outcome(decision, signals, started, settled)
    except Timeout:
        raise RetrainingBusy(f"another run decides on retraining in {workspace.store}: wait for it to end") from None


def _settle(
    journal: Journal, trainer: Callable[[datetime], Trainer], newest: Callable[[], str | None], *, now: datetime
) -> tuple[Training, ...]:
    """Start what was only meant to be, and write down how what was started went."""
    settled = []
    for training in journal.trainings():
        if training.outcome is not None:
            continue
        port = trainer(training.at)
        run = training.run or _start(journal, training, port, now=now)
        outcome = port.outcome(run)
        if outcome != RUNNING:
            version = newest() if outcome == COMPLETE else None
            journal.append(FINISHED, at=now, id=training.id, outcome=outcome, version=version)
            settled.append(training)
    return tuple(settled)


def _act(journal: Journal, decision: Decision, trainer: Callable[[datetime], Trainer], *, now: datetime) -> str | None:
    told = {"triggers": list(decision.triggers), "reasons": list(decision.reasons)}
    if decision.action is Action.HOLD:
        journal.append(HELD, at=now, **told)
    if decision.action is not Action.START:
        return None
    name = f"{now:%Y%m%dT%H%M%S}-{len(journal.trainings()) + 1}"
    # The name makes it another training than one for the same reason before.
    training = Training(name, now, f"{', '.join(decision.triggers)} ({name})")
    journal.append(INTENT, at=now, id=name, reason=training.reason, **told)
    _start(journal, training, trainer(now), now=now)
    return name


def _start(journal: Journal, training: Training, port: Trainer, *, now: datetime) -> str:
    run = port.start(training.reason)
    journal.append(STARTED, at=now, id=training.id, run=run)
    return run
