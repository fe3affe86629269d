"""When a challenger is trained without anybody asking, and what is left of it wherever it is killed."""

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from erasable_workspace import logged
from filelock import FileLock
from rich.console import Console

from feature_repo.core.workspace import Workspace
from feature_repo.dataset.declaration import parse_dataset
from feature_repo.dataset.prepare import prepare
from feature_repo.dataset.pseudonym import open_pseudonyms
from monitoring.retraining.decide import Action, decide
from monitoring.retraining.job import RetrainingBusy, journal_of, retrain
from monitoring.retraining.journal import Journal, Training
from monitoring.retraining.online import Answered, answered, online_signal
from monitoring.retraining.policy import AGE, DRIFT, ONLINE, SKEW, RetrainingPolicy
from monitoring.retraining.run_training import run
from monitoring.retraining.signals import Signal, age_signal, report_signal
from monitoring.retraining.table import retraining_lines
from monitoring.retraining.trainer import COMPLETE, FAILED, RUNNING, LocalTrainer
from serving.request_log import metadata_of, to_table
from training.verdict import Verdict

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
POLICY = RetrainingPolicy()
HOUR = timedelta(hours=1)
DECLARED = """
name: tiny
events:
  path: events.csv
  columns: {user_id: who, item_id: thing, timestamp: at, event_type: what}
weights: {view: 1, hide: -1}
"""
HAPPENED = [
    ("cy", NOW - 9 * HOUR, "view"),
    ("cy", NOW - 8 * HOUR, "view"),
    ("cy", NOW - 7 * HOUR, "view"),
    ("cy", NOW - 6 * HOUR, "view"),
    ("ann", NOW + 0.5 * HOUR, "view"),
    ("bob", NOW + 2 * HOUR, "hide"),
    ("ann", NOW + 41 * HOUR, "view"),
    ("cy", NOW + 48 * HOUR, "view"),
]
FALLEN = Signal(DRIFT, Verdict.FAIL, "drift FAIL: the world has moved")


@dataclass
class FakeTrainer:
    """Remembers what it started; the same reason is the same training. `fails` raises after starting."""

    started: list[str] = field(default_factory=list)
    outcomes: dict[str, str] = field(default_factory=dict)
    fails: bool = False

    def start(self, reason: str) -> str:
        if reason not in self.started:
            self.started.append(reason)
        if self.fails:
            raise KeyboardInterrupt
        return f"run {self.started.index(reason)}"

    def outcome(self, name: str) -> str:
        return self.outcomes.get(name, RUNNING)


def workspace(folder: Path) -> Workspace:
    return Workspace(root=folder / "build", store=folder / "build" / "store")


def once(place: Workspace, trainer: FakeTrainer, *signals: Signal, now: datetime = NOW, **options: Any) -> Any:
    return retrain(place, POLICY, lambda: signals, trainer=lambda _: trainer, newest=lambda: "7", now=now, **options)


def events(place: Workspace) -> list[str]:
    return [line["event"] for line in journal_of(place).lines()]


def report(**changes: Any) -> dict[str, Any]:
    made = {"verdict": "FAIL", "reasons": ["moved"], "version": "3", "made_at": (NOW - HOUR).isoformat()}
    return {**made, **changes}


def test_a_fresh_report_about_the_champion_is_a_signal() -> None:
    found = report_signal(SKEW, report(), POLICY, champion="3", since=None, now=NOW)

    assert found == Signal(SKEW, Verdict.FAIL, "skew FAIL: moved")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (None, "there is no report of skew that can be read"),
        (report(version="2"), "is about version 2; the champion is 3"),
        (report(made_at="yesterday"), "does not say when it was made"),
        (report(made_at=(NOW + HOUR).isoformat()), "does not say when it was made"),
        (report(made_at=(NOW - 49 * HOUR).isoformat()), "is older than 48 hours"),
        (report(made_at=(NOW - 3 * HOUR).isoformat()), "is from before the last training"),
        (report(verdict="BAD"), "has no verdict; got 'BAD'"),
    ],
)
def test_a_report_that_says_nothing_about_the_champion_as_it_is_is_inconclusive(given: Any, said: str) -> None:
    found = report_signal(SKEW, given, POLICY, champion="3", since=NOW - 2 * HOUR, now=NOW)

    assert found.verdict is Verdict.INCONCLUSIVE
    assert said in found.reason


def test_an_old_champion_is_a_signal() -> None:
    old, young, unknown = (age_signal(at, POLICY, now=NOW) for at in (NOW - 31 * 24 * HOUR, NOW - HOUR, None))

    assert [found.verdict for found in (old, young, unknown)] == [Verdict.FAIL, Verdict.PASS, Verdict.INCONCLUSIVE]
    assert old.reason == "the champion is 31.0 days old; at most 30 are allowed"


def asked(rate_before: float, rate_now: float, *, requests: int = 4_000) -> Answered:
    rng = np.random.default_rng(3)
    end = round(NOW.timestamp() * 1e6)
    days = np.sort(rng.uniform(0, 28, requests))
    rates = np.where(days > 21, rate_now, rate_before)
    users = np.array([f"u{n}" for n in rng.integers(0, 400, requests)], object)
    return Answered(users, (end - (28 - days) * 86_400e6).astype(np.int64), rng.random(requests) < rates)


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [(0.3, 0.15, Verdict.FAIL), (0.5, 0.5, Verdict.PASS), (0.05, 0.047, Verdict.INCONCLUSIVE)],
)
def test_a_fall_of_the_online_metric_is_a_signal_where_it_is_certain(
    before: float, after: float, verdict: Verdict
) -> None:
    found = online_signal(asked(before, after, requests=20_000 if before == after else 4_000), POLICY, now=NOW)

    assert (found.name, found.verdict) == (ONLINE, verdict)
    assert "the share of answered requests changed by" in found.reason


def test_too_few_requests_or_no_answer_at_all_are_inconclusive() -> None:
    few, none = online_signal(asked(0.3, 0.1, requests=800), POLICY, now=NOW), asked(0, 0.2)

    assert few.verdict is Verdict.INCONCLUSIVE
    assert "500 are needed on either side" in few.reason
    nothing = online_signal(none, POLICY, now=NOW)
    assert (nothing.verdict, nothing.reason) == (
        Verdict.INCONCLUSIVE,
        "before the newest days too few events answered a request",
    )


def test_nothing_retrains_on_inconclusive_or_on_what_the_policy_does_not_name() -> None:
    unclear = [Signal(name, Verdict.INCONCLUSIVE, "unclear") for name in (DRIFT, SKEW, AGE, ONLINE)]
    only_age = POLICY.model_copy(update={"triggers": (AGE,)})

    assert decide(unclear, [], POLICY, now=NOW).action is Action.NOTHING
    assert decide([FALLEN], [], only_age, now=NOW).action is Action.NOTHING
    assert decide([*unclear, FALLEN], [], POLICY, now=NOW).triggers == (DRIFT,)


@pytest.mark.parametrize(
    ("earlier", "policy", "said"),
    [
        (Training("a", NOW - 30 * HOUR, "r", "run"), {}, "training a is not finished"),
        (Training("a", NOW - 23 * HOUR, "r", "run", COMPLETE), {}, "the next one may start 2026-05-01T13:00:00"),
        (Training("a", NOW - 2 * HOUR, "r", "run", FAILED), {"cooldown_hours": 1}, "1 trainings were started today"),
    ],
)
def test_a_running_training_the_cool_down_and_the_cap_hold_the_next_one(
    earlier: Training, policy: dict[str, Any], said: str
) -> None:
    found = decide([FALLEN], [earlier], POLICY.model_copy(update=policy), now=NOW)

    assert (found.action, found.triggers) == (Action.HOLD, (DRIFT,))
    assert said in found.reasons[0]


def test_a_trigger_its_start_its_outcome_and_what_is_held_are_on_record(tmp_path: Path) -> None:
    place, trainer = workspace(tmp_path), FakeTrainer()

    first = once(place, trainer, FALLEN)
    held = once(place, trainer, FALLEN, now=NOW + HOUR)
    trainer.outcomes["run 0"] = COMPLETE
    done = once(place, trainer, now=NOW + 2 * HOUR)
    second = once(place, trainer, FALLEN, now=NOW + 25 * HOUR)

    assert [found.decision.action for found in (first, held, done, second)] == ["START", "HOLD", "NOTHING", "START"]
    assert events(place) == ["intent", "started", "held", "finished", "intent", "started"]
    lines = journal_of(place).lines()
    assert lines[0]["triggers"] == [DRIFT]
    assert (lines[3]["outcome"], lines[3]["version"]) == (COMPLETE, "7")
    assert len(trainer.started) == 2


def test_a_dry_run_decides_and_leaves_no_trace(tmp_path: Path) -> None:
    place, trainer = workspace(tmp_path), FakeTrainer()

    found = once(place, trainer, FALLEN, dry_run=True)

    assert found.decision.action is Action.START
    assert (trainer.started, place.store.exists()) == ([], False)
    console = Console(width=110)
    with console.capture() as captured:
        for line in retraining_lines(found, dry_run=True):
            console.print(line)
    assert captured.get() == (
        "drift: FAIL drift FAIL: the world has moved\nRetraining (dry run): START\n  drift FAIL: the world has moved\n"
    )


class Killed(BaseException):
    """What a kill does: nothing after it happens."""


@pytest.mark.parametrize("survives", range(4))
def test_a_kill_at_any_line_neither_loses_nor_repeats_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, survives: int
) -> None:
    """Killed before the intent, after it, after the start, after the record of the start: one training all the same."""
    place, trainer = workspace(tmp_path), FakeTrainer()
    append, written = Journal.append, [0]

    def killed(self: Journal, event: str, **fields: Any) -> None:
        if survives == written[0] * 2:
            raise Killed
        append(self, event, **fields)
        written[0] += 1
        if survives == written[0] * 2 - 1:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "append", killed)
        with pytest.raises(Killed):
            once(place, trainer, FALLEN)
    once(place, trainer, FALLEN, now=NOW + HOUR)
    once(place, trainer, FALLEN, now=NOW + 2 * HOUR)

    assert len(trainer.started) == 1
    (training,) = journal_of(place).trainings()
    assert training.run == "run 0"


def test_a_line_that_a_kill_cut_off_is_passed_over(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "audit" / "retraining.jsonl")
    journal.append("intent", at=NOW, id="a", reason="r")
    with (tmp_path / "audit" / "retraining.jsonl").open("a") as file:
        file.write('{"event": "started", "id": "a", "ru')

    journal.append("started", at=NOW, id="a", run="run")

    assert journal.trainings() == [Training("a", NOW, "r", "run")]


def test_two_at_once_do_not_decide_together(tmp_path: Path) -> None:
    place = workspace(tmp_path)
    (place.store / "audit").mkdir(parents=True)

    with (
        FileLock(place.store / "audit" / "retraining.lock"),
        pytest.raises(RetrainingBusy, match="another run decides"),
    ):
        once(place, FakeTrainer(), FALLEN)


def eventually(holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 30
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.02)
    return holds()


def test_a_local_training_runs_once_goes_on_alone_and_leaves_its_outcome(tmp_path: Path) -> None:
    place = workspace(tmp_path)
    count, go = tmp_path / "count", tmp_path / "go"
    script = f"""
import pathlib, time
open({str(count)!r}, "a").write("x")
while not pathlib.Path({str(go)!r}).exists(): time.sleep(0.01)
"""
    trainer = LocalTrainer(place, ("-c", script))

    name = trainer.start("drift (1)")
    again = LocalTrainer(place, ("-c", script)).start("drift (1)")
    during = trainer.outcome(name)
    go.touch()

    assert eventually(lambda: trainer.outcome(name) == COMPLETE)
    assert (name, during, trainer.start("drift (1)")) == (again, RUNNING, name)
    assert count.read_text() == "x"
    os.waitpid(-1, 0)


def test_a_training_that_fails_or_is_killed_has_failed(tmp_path: Path) -> None:
    place = workspace(tmp_path)
    trainer = LocalTrainer(place, ("-c", "raise SystemExit(3)"))

    name = trainer.start("drift (1)")

    assert eventually(lambda: trainer.outcome(name) == FAILED)
    assert json.loads((place.root / "retraining" / name / "outcome.json").read_text()) == {"exit_status": 3}
    assert trainer.outcome("never begun") == FAILED
    os.waitpid(-1, 0)


def test_whoever_comes_second_to_a_training_does_nothing(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    command = [sys.executable, "-c", f"open({str(marker)!r}, 'a').write('x')"]

    first, second = run(tmp_path, command), run(tmp_path, command)
    with FileLock(tmp_path / "running.lock"):
        beside = run(tmp_path, command)

    assert (first, second, beside, marker.read_text()) == (0, 0, 0, "x")


def test_requests_are_answered_by_liked_events_within_their_windows(tmp_path: Path) -> None:
    """From a real log under pseudonyms: asked by two people, of two versions, one request twice in the log."""
    place = workspace(tmp_path)
    moments = [NOW + hour * HOUR for hour in (0, 1, 2, 40)]
    declared = parse_dataset(DECLARED, tmp_path / "dataset.yaml")
    lines = (f"{user},t,{at.isoformat()},{kind}" for user, at, kind in HAPPENED)
    (tmp_path / "events.csv").write_text("who,thing,at,what\n" + "\n".join(lines) + "\n")
    prepare(declared, place, now=NOW + 100 * HOUR)
    pseudonyms = open_pseudonyms(place)
    requests = [
        replace(logged(user), request_id=f"r{n}", moment=at, received_at=at, model_version=version)
        for n, (user, at, version) in enumerate(zip(("ann", "bob", "ann", "ann"), moments, "3343", strict=True))
    ]
    place.request_log.mkdir(parents=True)
    for name in ("one", "copy"):
        table = to_table(requests, pseudonyms).replace_schema_metadata(metadata_of(pseudonyms))
        pq.write_table(table, place.request_log / f"{name}.parquet")

    found = answered(place, "3", window=24 * HOUR)

    # The one at 40 hours is not over when the log ends at 48; the one at 2 hours is of version 4.
    assert found.user_ids[0] == "ann"
    assert found.answered.tolist() == [True, False]  # bob only hid something
