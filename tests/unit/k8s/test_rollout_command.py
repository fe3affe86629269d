"""`python -m k8s rollout`: an operator's words, and the sentences that refuse them."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from feature_repo.core.errors import SettingsRefused
from k8s.__main__ import app
from k8s.policy.rules import RolloutPolicy
from k8s.rollout.command import stands
from k8s.rollout.file_store import FileStore
from k8s.rollout.rollout import Rollout
from k8s.rollout.step import OrderRefused, step
from k8s.rollout.store import NoRollout
from training.verdict import Verdict

NOW = datetime.now(UTC)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FileStore:
    monkeypatch.setenv("BUILD", str(tmp_path))
    monkeypatch.delenv("STORE_URL", raising=False)
    store = FileStore(tmp_path / "rollout" / "state.json")
    fresh = Rollout.begin("1-2", "1", "2", RolloutPolicy(shadow=None), now=NOW)
    store.save(step(fresh, Verdict.PASS, ("both versions are ready",), now=NOW), None)
    return store


def order(*words: str) -> str:
    told = CliRunner().invoke(app, ["rollout", *words], env={"COLUMNS": "200", "TERM": "dumb"})
    if told.exception and not isinstance(told.exception, SystemExit):
        raise told.exception
    return told.output


def held(store: FileStore) -> Rollout:
    found = store.load()
    assert found is not None
    return found[0]


def test_pause_and_resume_and_abort_reach_the_stored_rollout(store: FileStore) -> None:
    assert "CANARY at weight 1 %" in order("pause", "--by", "ann")
    assert held(store).paused_at is not None
    order("resume", "--by", "ann")
    assert held(store).paused_at is None
    assert "ROLLED_BACK" in order("abort", "--by", "ann")
    assert held(store).reasons == ("abort by ann",)


def test_a_refused_order_is_a_sentence_and_changes_nothing(store: FileStore) -> None:
    before = held(store)

    with pytest.raises(OrderRefused, match="expected a rollout that is paused or halted; got one that is CANARY"):
        order("resume", "--by", "ann")

    assert held(store) == before


def test_status_shows_where_it_stands_and_why(store: FileStore) -> None:
    console = Console(width=160, record=True)

    console.print(stands(store, now=NOW))

    assert "rollout 1-2: CANARY at weight 1 % for 0 of 7200 s" in console.export_text()
    assert "both versions are ready" in order("status")


def test_without_a_rollout_every_word_is_answered_with_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUILD", str(tmp_path))

    for word in ("status", "pause"):
        with pytest.raises(NoRollout, match="expected a rollout; there is none"):
            order(word, "--by", "ann")


def test_a_place_that_is_not_known_is_refused() -> None:
    with pytest.raises(SettingsRefused, match="DEPLOYER is local or kubernetes; got 'mars'"):
        order("status", "--where", "mars")
