"""A study of trials in a storage of Optuna's, one process at a time: whatever still runs when it is opened was killed.

The random numbers behind a proposal depend on how many trials have ended, so a search that was stopped and goes on
proposes what it would have proposed. A trial that did not come to its end is tried once more with the same values.
"""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from training.search.pruning import ByStage
from training.search.space import Parameter, distributions

RANDOM_TRIALS = 6  # before TPE (Bergstra et al., NeurIPS 2011) has something to go by
KILLED, TIME_IS_UP = "killed", "time is up"
ENDED, RETRY_OF = "ended", "retry_of"


def open_study(storage: str | BaseStorage, name: str) -> optuna.Study:
    """Create or go on with the study `name`; `storage` is one of Optuna's or its address, as `sqlite:///study.db`."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        # Between Optuna and SQLAlchemy, on opening the file.
        warnings.simplefilter("ignore")
        study = optuna.create_study(
            storage=storage,
            study_name=name,
            direction="maximize",
            pruner=ByStage(optuna.pruners.MedianPruner(n_startup_trials=RANDOM_TRIALS - 2)),
            load_if_exists=True,
        )
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        give_up(study, trial, KILLED)
    return study


def give_up(study: optuna.Study, trial: FrozenTrial, reason: str) -> None:
    """Mark a trial that did not come to its end as failed, and queue its values again: after a kill only once."""
    optuna.Trial(study, trial._trial_id).set_user_attr(ENDED, reason)
    study.tell(trial.number, state=TrialState.FAIL)
    # One that was killed before it had values is proposed anew.
    if trial.params and _again(trial, reason):
        retried = {RETRY_OF: trial.number} if reason == KILLED else trial.user_attrs
        study.enqueue_trial(trial.params, user_attrs=dict(retried))


def ended(study: optuna.Study) -> int:
    """Trials that count: complete, pruned, failed by themselves, or killed twice."""
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL))
    reasons = ((trial, trial.user_attrs.get(ENDED, "")) for trial in trials)
    return sum(1 for trial, reason in reasons if trial.params and not _again(trial, reason))


def _again(trial: FrozenTrial, reason: str) -> bool:
    return reason == TIME_IS_UP or (reason == KILLED and RETRY_OF not in trial.user_attrs)


def next_trial(study: optuna.Study, space: Sequence[Parameter], *, seed: int) -> optuna.Trial:
    """The next trial of the study, its values chosen."""
    study.sampler = optuna.samplers.TPESampler(seed=seed + ended(study), n_startup_trials=RANDOM_TRIALS)
    return study.ask(fixed_distributions=distributions(space))


def enqueue_first(study: optuna.Study, values: Mapping[str, Any]) -> None:
    """Try these values first, if nothing was tried yet."""
    if not study.get_trials(deepcopy=False):
        study.enqueue_trial(dict(values))


def best(study: optuna.Study) -> FrozenTrial | None:
    """The complete trial with the highest value, the earliest of equal ones."""
    complete = study.get_trials(states=(TrialState.COMPLETE,))
    return max(complete, key=lambda trial: (trial.value or 0.0, -trial.number), default=None)
