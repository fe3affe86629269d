"""The search: trial after trial until the trials or the time are used up."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import optuna
from optuna.trial import TrialState

from feature_repo.core.errors import RecommenderError
from training.search.pruning import step_of
from training.search.space import Parameter, settings_with, values_in
from training.search.study import ENDED, TIME_IS_UP, best, ended, enqueue_first, give_up, next_trial
from training.settings import TrainingSettings


class Pruned(Exception):
    """A trial that is worse than the median of the others so far."""


class TimeIsUp(Exception):
    """The search's time ended within a trial."""


class Report(Protocol):
    """What a trial tells while it works. The objective lets Pruned and TimeIsUp through."""

    def __call__(self, stage: int, step: int, value: float) -> None:
        """A figure of a stage at one of its steps; raises Pruned or TimeIsUp."""

    def tick(self) -> None:
        """Nothing but that it works; raises TimeIsUp."""


Objective = Callable[[TrainingSettings, Report], float]
"""What is to be as high as it can be."""


@dataclass(frozen=True)
class Tried:
    """One trial that ended: complete, pruned or failed, and the figures that it reported by (stage, step)."""

    number: int
    values: Mapping[str, Any]
    state: str
    value: float | None
    seconds: float
    reported: Sequence[tuple[int, int, float]] = field(default_factory=tuple)


class Watcher(Protocol):
    """Who is told about each trial as it ends."""

    def ended(self, tried: Tried) -> None: ...


@dataclass(frozen=True)
class Budget:
    """Complete, pruned and failed trials in all, earlier calls included; and seconds of this call."""

    trials: int
    seconds: float


def search(
    study: optuna.Study,
    objective: Objective,
    *,
    base: TrainingSettings,
    space: Sequence[Parameter],
    budget: Budget,
    seed: int,
    clock: Callable[[], float],
    watcher: Watcher,
) -> optuna.trial.FrozenTrial | None:
    """Try settings within the budget; returns the best complete trial of the study, None if there is none.

    The first trial has the values of `base`, so that what is found is not worse. Time is looked at before each trial
    and whenever one tells that it works.
    """
    first = values_in(base, space)
    if first is not None:
        enqueue_first(study, first)
    deadline = clock() + budget.seconds
    while ended(study) < budget.trials and clock() < deadline:
        trial = next_trial(study, space, seed=seed)
        watcher.ended(_run(study, trial, objective, base=base, clock=clock, deadline=deadline))
    return best(study)


def _run(
    study: optuna.Study,
    trial: optuna.Trial,
    objective: Objective,
    *,
    base: TrainingSettings,
    clock: Callable[[], float],
    deadline: float,
) -> Tried:
    started, report = clock(), _Reports(trial, clock, deadline)
    value: float | None = None
    try:
        value = objective(settings_with(base, trial.params), report)
        study.tell(trial, value)
        state = "complete"
    except Pruned:
        study.tell(trial, state=TrialState.PRUNED)
        state = "pruned"
    except TimeIsUp:
        give_up(study, study.trials[trial.number], TIME_IS_UP)
        state = "stopped"
    except RecommenderError as error:
        trial.set_user_attr(ENDED, str(error))
        study.tell(trial, state=TrialState.FAIL)
        state = "failed"
    return Tried(trial.number, trial.params, state, value, clock() - started, tuple(report.told))


class _Reports:
    def __init__(self, trial: optuna.Trial, clock: Callable[[], float], deadline: float) -> None:
        self.told: list[tuple[int, int, float]] = []
        self._trial, self._clock, self._deadline = trial, clock, deadline

    def __call__(self, stage: int, step: int, value: float) -> None:
        self.told.append((stage, step, value))
        self._trial.report(value, step_of(stage, step))
        self.tick()
        if self._trial.should_prune():
            raise Pruned

    def tick(self) -> None:
        if self._clock() >= self._deadline:
            raise TimeIsUp
