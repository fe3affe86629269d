"""A search that is killed with SIGKILL in the middle of a trial goes on where it was."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import optuna
import pytest
from optuna.storages import InMemoryStorage
from optuna.trial import TrialState

from training.search.search import Budget, Report, Tried, search
from training.search.space import Range
from training.search.study import open_study
from training.settings import TrainingSettings

pytestmark = pytest.mark.integration

SPACE = (Range("ranker.learning_rate", 0.01, 1.0, log=True), Range("ranker.depth", 2, 9, whole=True))
SEARCHING = """
import sys, time
sys.path.insert(0, sys.argv[2])
from test_search_resume import go_on
go_on(sys.argv[1], trials=20, seconds_a_trial=(0, 0, 0, 600))
"""


class Silent:
    def ended(self, tried: Tried) -> None:
        del tried


def go_on(storage: object, *, trials: int, seconds_a_trial: tuple[int, ...] = ()) -> optuna.Study:
    """Search for a learning rate of 0.2; the n-th trial of this call takes so many seconds."""
    waits = iter(seconds_a_trial)

    def objective(settings: TrainingSettings, report: Report) -> float:
        value = -abs(settings.ranker.learning_rate - 0.2)
        report(0, 0, value)
        sys.stdout.write("trial\n")
        sys.stdout.flush()
        time.sleep(next(waits, 0))
        return value

    study = open_study(storage, "resumed")  # type: ignore[arg-type]
    search(
        study,
        objective,
        base=TrainingSettings(),
        space=SPACE,
        budget=Budget(trials, 600),
        seed=3,
        clock=time.monotonic,
        watcher=Silent(),
    )
    return study


def test_a_search_killed_within_a_trial_ends_as_if_it_had_never_been_killed(tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path / 'study.db'}"
    here = str(Path(__file__).parent)
    child = subprocess.Popen([sys.executable, "-c", SEARCHING, storage, here], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    try:
        begun = [child.stdout.readline() for _ in range(4)]
    finally:
        child.send_signal(signal.SIGKILL)
        child.communicate()

    study = go_on(storage, trials=8)
    untouched = go_on(InMemoryStorage(), trials=8)

    assert begun == ["trial\n"] * 4
    assert study.trials[3].state == TrialState.FAIL
    assert study.trials[3].user_attrs["ended"] == "killed"
    finished = [t.params for t in study.trials if t.state in (TrialState.COMPLETE, TrialState.PRUNED)]
    expected = [t.params for t in untouched.trials]
    assert sorted(map(repr, finished)) == sorted(map(repr, expected))
    assert study.best_value == untouched.best_value
