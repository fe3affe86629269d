import itertools
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import optuna
import pytest
from filelock import FileLock
from optuna.storages import BaseStorage, InMemoryStorage
from optuna.trial import TrialState

from feature_repo.core.errors import DatasetError, MissingArtifact, SettingsRefused
from feature_repo.core.workspace import Workspace, write_json
from training.registry import connect
from training.search.objective import progress_of
from training.search.pruning import STEPS_A_STAGE
from training.search.run import report_of, run_search, study_name
from training.search.search import Budget, Objective, Report, Tried, search
from training.search.settings_file import load_settings
from training.search.space import SPACE, Choice, Range, settings_with, values_in
from training.search.study import next_trial, open_study
from training.search.tracking import track
from training.settings import TrainingSettings

BASE = TrainingSettings()
SMALL = (Range("ranker.learning_rate", 0.01, 1.0, log=True), Choice("ranker.pair_method", ("topk", "mean")))


class Heard:
    def __init__(self) -> None:
        self.tried: list[Tried] = []

    def ended(self, tried: Tried) -> None:
        self.tried.append(tried)


class Told:
    def __init__(self) -> None:
        self.told: list[tuple[int, int, float]] = []
        self.ticks = 0

    def __call__(self, stage: int, step: int, value: float) -> None:
        self.told.append((stage, step, value))

    def tick(self) -> None:
        self.ticks += 1


def peak(settings: TrainingSettings, report: Report) -> float:
    """Highest, 1.0, at a learning rate of 0.3 with pairs drawn at random."""
    report(0, 0, 0.5)
    return 1 - abs(settings.ranker.learning_rate - 0.3) - 0.2 * (settings.ranker.pair_method == "topk")


@pytest.fixture
def storage() -> BaseStorage:
    return InMemoryStorage()


def run(
    storage: BaseStorage,
    objective: Objective,
    *,
    trials: int,
    seconds: float = 60,
    clock: Callable[[], float] = lambda: 0.0,
) -> tuple[optuna.Study, list[Tried]]:
    heard, study = Heard(), open_study(storage, "one")
    search(
        study,
        objective,
        base=BASE,
        space=SMALL,
        budget=Budget(trials, seconds),
        seed=7,
        clock=clock,
        watcher=heard,
    )
    return study, heard.tried


def test_every_name_of_the_space_is_a_setting_and_the_present_settings_lie_inside() -> None:
    values = values_in(BASE, SPACE)

    assert values is not None
    assert settings_with(BASE, values) == BASE


def test_a_name_that_is_no_setting_is_refused() -> None:
    with pytest.raises(SettingsRefused, match=r"there is no 'tower\.warmth'"):
        settings_with(BASE, {"tower.warmth": 1})
    with pytest.raises(SettingsRefused, match=r"there is no 'oven\.warmth'"):
        settings_with(BASE, {"oven.warmth": 1})


def test_settings_outside_of_the_space_are_not_tried_first() -> None:
    assert values_in(BASE, (Range("ranker.rounds", 1, 2, whole=True),)) is None
    assert values_in(BASE, (Choice("ranker.pair_method", ("mean",)),)) is None


def test_the_present_settings_are_the_first_trial_and_the_optimum_is_found(storage: BaseStorage) -> None:
    study, tried = run(storage, peak, trials=25)

    assert tried[0].values == {"ranker.learning_rate": BASE.ranker.learning_rate, "ranker.pair_method": "topk"}
    assert study.best_value > 0.95
    assert study.best_params["ranker.pair_method"] == "mean"


def test_a_search_that_goes_on_proposes_what_it_would_have_proposed(storage: BaseStorage) -> None:
    _, whole = run(InMemoryStorage(), peak, trials=9)

    _, first = run(storage, peak, trials=4)
    _, rest = run(storage, peak, trials=9)

    assert [t.values for t in first + rest] == [t.values for t in whole]


def test_a_trial_of_a_process_that_died_is_failed_and_its_values_are_tried_once_more(storage: BaseStorage) -> None:
    run(storage, peak, trials=2)
    _, whole = run(InMemoryStorage(), peak, trials=5)
    for _ in range(2):
        next_trial(open_study(storage, "one"), SMALL, seed=7)

    study, rest = run(storage, peak, trials=5)

    states = [trial.state for trial in study.trials]
    assert states[2:4] == [TrialState.FAIL, TrialState.FAIL]
    assert study.trials[2].params == study.trials[3].params == whole[2].values
    # Killed twice, the values are not tried a third time, and count as one of five trials.
    assert [t.values for t in rest][:1] != [whole[2].values]
    assert len(rest) == 2


def test_time_ends_a_search_within_a_trial_whose_values_are_tried_again(storage: BaseStorage) -> None:
    ticking = itertools.count(step=10.0)

    study, tried = run(storage, peak, trials=50, seconds=95, clock=lambda: next(ticking))

    assert tried[-1].state == "stopped"
    assert len(tried) < 10
    assert study.trials[-1].state == TrialState.WAITING
    assert study.trials[-1].system_attrs["fixed_params"] == tried[-1].values


def test_time_ends_a_trial_that_has_nothing_to_report_yet(storage: BaseStorage) -> None:
    ticking = itertools.count(step=10.0)

    def objective(settings: TrainingSettings, report: Report) -> float:
        del settings
        while True:
            report.tick()

    _, tried = run(storage, objective, trials=1, seconds=95, clock=lambda: next(ticking))

    assert [t.state for t in tried] == ["stopped"]


def test_no_trial_starts_without_time(storage: BaseStorage) -> None:
    study, tried = run(storage, peak, trials=5, seconds=0)

    assert tried == []
    with pytest.raises(MissingArtifact, match="study one has none of 1: give it more minutes"):
        report_of(study, BASE)


def test_a_trial_below_the_median_is_pruned_by_the_figures_of_its_own_stage(storage: BaseStorage) -> None:
    values = itertools.chain([0.5] * 5, itertools.repeat(0.1))

    def objective(settings: TrainingSettings, report: Report) -> float:
        del settings
        report(0, 0, 0.9)
        value = next(values)
        report(1, 0, value)
        return value

    study, tried = run(storage, objective, trials=7)

    assert [t.state for t in tried] == ["complete"] * 5 + ["pruned"] * 2
    assert study.trials[-1].intermediate_values == {0: 0.9, STEPS_A_STAGE: 0.1}
    assert tried[-1].reported == ((0, 0, 0.9), (1, 0, 0.1))


def test_settings_that_cannot_be_trained_fail_alone(storage: BaseStorage) -> None:
    calls = itertools.count()

    def objective(settings: TrainingSettings, report: Report) -> float:
        if next(calls) == 1:
            raise DatasetError("too small")
        return peak(settings, report)

    study, tried = run(storage, objective, trials=3)

    assert [t.state for t in tried] == ["complete", "failed", "complete"]
    assert study.trials[1].user_attrs["ended"] == "too small"


def test_the_best_settings_load_as_training_settings(storage: BaseStorage, tmp_path: Path) -> None:
    study, tried = run(storage, peak, trials=8)
    best = max(tried, key=lambda t: t.value or 0)
    (tmp_path / "search.json").write_text(json.dumps(report_of(study, BASE)))

    found = load_settings(tmp_path / "search.json")

    assert found.ranker.learning_rate == best.values["ranker.learning_rate"]
    assert found == settings_with(BASE, best.values)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"seed": "x"}', "mine.json: .* at seed; got 'x'"),
        ('{"tower": {"warmth": 1}}', r"not permitted at tower\.warmth; got 1"),
        ("[]", "a JSON object; mine.json holds a list"),
        ("{", "mine.json cannot be read"),
    ],
)
def test_a_file_that_holds_no_settings_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "mine.json").write_text(text)

    with pytest.raises(SettingsRefused, match=said):
        load_settings(tmp_path / "mine.json")


def test_a_file_of_settings_alone_is_read_and_what_it_leaves_out_has_its_default(tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text('{"ranker": {"objectives": [{"name": "a", "weights": {"view": 1}}]}}')

    found = load_settings(tmp_path / "mine.json")

    assert found.ranker.objectives[0].weights == {"view": 1}
    assert found.tower == BASE.tower


def test_trials_are_runs_nested_in_the_run_of_their_study(
    storage: BaseStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    workspace = Workspace(root=tmp_path, store=tmp_path / "store")
    study = open_study(storage, "one")
    tried: dict[str, Any] = {"values": {"ranker.depth": 5}, "seconds": 2.0}

    track(workspace, study, metric="ndcg", tags={"window_end": "then"}).ended(
        Tried(0, state="complete", value=0.4, reported=((0, 1, 0.2), (1, 10, 0.3)), **tried)
    )
    again = track(workspace, open_study(storage, "one"), metric="ndcg", tags={})
    again.ended(Tried(1, state="pruned", value=None, **tried))
    (tmp_path / "search.json").write_text("{}")
    again.close(tmp_path / "search.json")

    client = connect(workspace)
    parent = client.get_run(again.run_id)
    nested = client.search_runs([parent.info.experiment_id], f"tags.mlflow.parentRunId = '{again.run_id}'")
    assert parent.info.status == "FINISHED"
    assert parent.data.tags["window_end"] == "then"
    assert sorted(run.data.tags["state"] for run in nested) == ["complete", "pruned"]
    complete = next(run for run in nested if run.data.tags["state"] == "complete")
    assert complete.data.metrics == {"ndcg": 0.4, "tower_ndcg": 0.2, "ranker_ndcg": 0.3}
    assert complete.data.params == {"ranker.depth": "5"}


def test_a_trial_reports_the_validation_figures_of_both_stages_and_no_training_figure() -> None:
    heard = Told()
    progress = progress_of(heard)

    for name in ("tower_loss", "tower_validation_ndcg_at_10", "ranker_training_ndcg_at_10"):
        progress.metric(name, 0.1, 3)
    for step in (5, 10, 15):
        progress.metric("ranker_validation_ndcg_at_10", 0.2, step)

    progress.advance()

    assert heard.told == [(0, 3, 0.1), (1, 10, 0.2)]
    assert heard.ticks == 1


def test_a_study_goes_on_only_with_the_same_data_window_and_settings() -> None:
    end, later = datetime(1998, 3, 1, tzinfo=UTC), datetime(1998, 3, 2, tzinfo=UTC)
    other = BASE.model_copy(update={"seed": 21})

    names = [
        study_name(*asked) for asked in (("a", end, BASE), ("b", end, BASE), ("a", later, BASE), ("a", end, other))
    ]

    assert names[0] == study_name("a", end, TrainingSettings())
    assert len(set(names)) == 4


def test_one_search_runs_in_a_workspace_at_a_time(tmp_path: Path) -> None:
    workspace = Workspace(root=tmp_path, store=tmp_path / "store")
    write_json(workspace.reports / "data.json", {"fingerprint": "a"})
    (tmp_path / "search").mkdir()

    with FileLock(tmp_path / "search" / "search.lock"), pytest.raises(MissingArtifact, match="another search runs in"):
        run_search(workspace, BASE, end=datetime(1998, 3, 1, tzinfo=UTC), budget=Budget(1, 1), on_trial=Heard().ended)
