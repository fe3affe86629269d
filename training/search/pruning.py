"""Stopping a trial early: only figures of the same stage are compared, tower with tower, ranker with ranker."""

import copy

import optuna
from optuna.pruners import BasePruner
from optuna.trial import FrozenTrial

STEPS_A_STAGE = 100_000


def step_of(stage: int, step: int) -> int:
    """Where a stage's step lies on the one axis of steps that Optuna has."""
    return stage * STEPS_A_STAGE + step


class ByStage(BasePruner):
    """Ask `inner` about the figures of the latest stage alone.

    Pruners take a trial's best figure so far, and the NDCG of a tower over the catalogue says nothing about that of a
    ranker over candidates.
    """

    def __init__(self, inner: BasePruner) -> None:
        self._inner = inner

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        if trial.last_step is None:
            return False
        stage = trial.last_step // STEPS_A_STAGE
        shown = copy.copy(trial)
        shown.intermediate_values = {s: v for s, v in trial.intermediate_values.items() if s // STEPS_A_STAGE == stage}
        return self._inner.prune(study, shown)
