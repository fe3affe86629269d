"""Moves of aliases against a real MLflow on SQLite: killed at every write, abandoned, fenced, done twice."""

import itertools
import json
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from promotable_workspace import (
    BACK_ALIASES,
    NEW_ALIASES,
    NOW,
    OLD_ALIASES,
    POLICY,
    WRITES,
    Dying,
    Killed,
    RememberedDeployer,
    build_promotable,
    put_back,
    write_reports,
)

from feature_repo.core.errors import MissingArtifact
from feature_repo.core.workspace import Workspace
from training import registry
from training.deployer import DeployFailed
from training.promote import promote, rollback
from training.registry import Kind, Mover, MoveRefused, Phase, lock
from training.registry.alias_view import raw_aliases
from training.registry.audit_log import read_audit
from training.registry.names import FENCE_TAG, MODEL

pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("MLFLOW_TRACKING_URI", "REGISTRY_LOCK_URL"):
            patch.delenv(name, raising=False)
        yield build_promotable(tmp_path_factory.mktemp("promotable"))


@pytest.fixture
def workspace(built: Workspace) -> Workspace:
    put_back(built)
    write_reports(built)
    return built


def events(workspace: Workspace) -> list[str]:
    return [line["event"] for line in read_audit(workspace)]


def report(workspace: Workspace) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((workspace.reports / "promotion.json").read_text())
    return read


def test_a_promotion_deploys_checks_moves_and_puts_it_all_on_record(workspace: Workspace) -> None:
    deployer = RememberedDeployer()

    done = promote(workspace, POLICY, deployer=deployer, now=NOW)

    assert (done.moved, done.decided, deployer.deployed) == (True, True, ["2"])
    assert registry.aliases(workspace) == NEW_ALIASES
    assert events(workspace) == ["promotion decided", "move intended", "champion moved"]
    tags = registry.connect(workspace).get_model_version(MODEL, "2").tags
    assert (tags["promotion_verdict"], tags["gate_quality"], tags["gate_canary"]) == ("PASS", "PASS", "PASS")
    assert json.loads(tags["promotion_decision"])["reasons"] == report(workspace)["reasons"]
    assert (report(workspace)["champion"], report(workspace)["previous"], report(workspace)["moved"]) == (
        "2",
        "1",
        True,
    )


def test_a_rollback_serves_what_was_champion_before_and_a_second_one_changes_nothing(workspace: Workspace) -> None:
    deployer = RememberedDeployer()
    promote(workspace, POLICY, deployer=deployer, now=NOW)

    first = rollback(workspace, deployer=deployer, now=NOW)
    again = rollback(workspace, deployer=deployer, now=NOW)

    assert (first.kind, first.phase, again) == (Kind.ROLLBACK, Phase.DONE, first)
    assert registry.aliases(workspace) == BACK_ALIASES
    assert deployer.version == "1"


def test_a_promotion_that_is_done_again_only_sees_that_the_champion_is_served(workspace: Workspace) -> None:
    promote(workspace, POLICY, deployer=None, now=NOW)
    deployer, before = RememberedDeployer("1"), report(workspace)

    again = promote(workspace, POLICY, deployer=deployer, now=NOW)

    assert (again.decided, again.moved, deployer.version) == (False, True, "2")
    assert report(workspace) == before
    assert events(workspace).count("champion moved") == 1


def test_a_refused_challenger_stays_one_and_the_evidence_is_on_record(workspace: Workspace) -> None:
    write_reports(workspace, end_state="ROLLED_BACK")
    deployer = RememberedDeployer()

    done = promote(workspace, POLICY, deployer=deployer, now=NOW)

    assert (done.moved, deployer.deployed) == (False, [])
    assert registry.aliases(workspace) == OLD_ALIASES
    assert registry.connect(workspace).get_model_version(MODEL, "2").tags["gate_canary"] == "FAIL"
    (line,) = read_audit(workspace)
    assert (line["event"], line["decision"]["verdict"]) == ("promotion decided", "FAIL")


def test_a_version_that_does_not_come_up_is_given_up_and_the_old_one_served(workspace: Workspace) -> None:
    deployer = RememberedDeployer(broken=frozenset({"2"}))

    done = promote(workspace, POLICY, deployer=deployer, now=NOW)

    assert (done.moved, deployer.version) == (False, "1")
    assert registry.aliases(workspace) == OLD_ALIASES
    assert report(workspace)["verdict"] == "FAIL"
    assert report(workspace)["reasons"][-1] == "deployment: version 2 is not ready in time"
    assert events(workspace)[-3:] == ["move intended", "move abandoned", "move undone"]


def test_where_nothing_comes_up_the_move_stays_open_until_something_does(workspace: Workspace) -> None:
    deployer = RememberedDeployer(broken=frozenset({"1", "2"}))

    with pytest.raises(DeployFailed, match="version 1 is not ready in time"):
        promote(workspace, POLICY, deployer=deployer, now=NOW)

    assert registry.aliases(workspace) == OLD_ALIASES
    deployer.broken = frozenset()
    assert not promote(workspace, POLICY, deployer=deployer, now=NOW).moved
    assert deployer.version == "1"


def test_a_deployer_that_answers_with_another_version_has_not_deployed(workspace: Workspace) -> None:
    class Deaf(RememberedDeployer):
        def deploy(self, version: str, *, fence: int) -> None:
            self.deployed.append(f"{version} by mover {fence}")

    done = promote(workspace, POLICY, deployer=Deaf("1"), now=NOW)

    why = "deployment: expected /readyz to report version 2 after its deployment; got 1"
    assert report(workspace)["reasons"][-1] == why
    assert not done.moved


def killed_at(workspace: Workspace, number: int, deployer: RememberedDeployer, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Run a promotion that dies at its `number`-th write; False where it has fewer."""
    calls = itertools.count()
    with monkeypatch.context() as patch:
        patch.setattr(lock, "connect", lambda w: Dying(registry.connect(w), WRITES, calls, number))
        try:
            promote(workspace, POLICY, deployer=Dying(deployer, WRITES, calls, number), now=NOW)
        except Killed:
            return True
        return False


def test_a_promotion_killed_at_any_write_is_ended_by_the_next_call(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends, halves = [], []
    for number in itertools.count():
        put_back(workspace)
        deployer = RememberedDeployer()
        if not killed_at(workspace, number, deployer, monkeypatch):
            break

        # Whoever looks now sees all of the move or nothing of it, though MLflow is half-way.
        halves.append(raw_aliases(registry.connect(workspace).get_registered_model(MODEL)))
        assert registry.aliases(workspace) in (OLD_ALIASES, NEW_ALIASES)
        promote(workspace, POLICY, deployer=deployer, now=NOW)

        ends.append((registry.aliases(workspace), deployer.version, report(workspace)["moved"], events(workspace)[-1]))
        assert events(workspace).count("champion moved") == 1
    assert {"champion": "2", "challenger": "2", "previous": "1"} in halves
    assert len(ends) >= 12
    assert set(map(str, ends)) == {str((NEW_ALIASES, "2", True, "champion moved"))}


def test_a_rollback_gives_up_a_promotion_whose_aliases_have_not_moved(workspace: Workspace) -> None:
    deployer = RememberedDeployer()
    with registry.alias_lock(workspace) as held:
        mover = Mover(workspace, held, Dying(deployer, WRITES, itertools.count(), 0))
        with pytest.raises(Killed):
            mover.move(Kind.PROMOTION, old="1", new="2", now=NOW, reason={})
    deployer.version = "2"  # the redeployment was on its way

    move = rollback(workspace, deployer=deployer, now=NOW)

    assert (move.phase, move.why, deployer.version) == (Phase.UNDONE, "rolled back by command", "1")
    assert registry.aliases(workspace) == OLD_ALIASES


def test_a_mover_whose_lock_was_taken_over_writes_nothing_more(workspace: Workspace) -> None:
    deployer = RememberedDeployer()
    with registry.alias_lock(workspace) as held:
        # The lock was lost without a word, and another process took it.
        held.client.set_registered_model_tag(MODEL, FENCE_TAG, str(held.fence + 1))

        with pytest.raises(MoveRefused, match=rf"mover {held.fence} was taken over by mover {held.fence + 1}"):
            Mover(workspace, held, deployer).move(Kind.PROMOTION, old="1", new="2", now=NOW, reason={})

    assert registry.aliases(workspace) == OLD_ALIASES
    assert deployer.deployed == []


def test_a_second_move_waits_for_the_first_one_to_end(workspace: Workspace) -> None:
    with registry.alias_lock(workspace) as held:
        mover = Mover(workspace, held, Dying(RememberedDeployer(), WRITES, itertools.count(), 0))
        with pytest.raises(Killed):
            mover.move(Kind.PROMOTION, old="1", new="2", now=NOW, reason={})

        with pytest.raises(MoveRefused, match="the promotion of version 2 is open: it must end before another begins"):
            mover.move(Kind.ROLLBACK, old="1", new="2", now=NOW, reason={})
    with pytest.raises(MoveRefused, match="version 1 cannot be replaced while the promotion of version 2 is open"):
        registry.register(workspace, workspace.root / "bundle", key="k", parameters={}, history={}, replaces="1")


def test_a_move_whose_champion_was_replaced_meanwhile_is_given_up(workspace: Workspace) -> None:
    deployer = RememberedDeployer()
    with registry.alias_lock(workspace) as held:
        mover = Mover(workspace, held, Dying(deployer, WRITES, itertools.count(), 0))
        with pytest.raises(Killed):
            mover.move(Kind.PROMOTION, old="1", new="2", now=NOW, reason={})
        held.client.set_registered_model_alias(MODEL, "champion", "3")

        ended = Mover(workspace, held, deployer).resume()

    assert ended is not None
    assert (ended.phase, ended.why, deployer.version) == (Phase.UNDONE, "version 3 became champion meanwhile", "3")


def test_two_promotions_at_once_make_one_move(workspace: Workspace) -> None:
    deployer, done = RememberedDeployer(), []
    threads = [
        Thread(target=lambda: done.append(promote(workspace, POLICY, deployer=deployer, now=NOW))) for _ in range(2)
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(one.decided for one in done) == [False, True]
    assert registry.aliases(workspace) == NEW_ALIASES
    assert events(workspace).count("move intended") == 1


def test_a_lock_that_is_held_too_long_is_a_sentence(workspace: Workspace) -> None:
    with registry.alias_lock(workspace):
        started = time.monotonic()
        with (
            pytest.raises(
                MoveRefused, match=r"the lock 'recommender aliases' is held by another process for over 0\.1 s"
            ),
            registry.alias_lock(workspace, wait_seconds=0.1),
        ):
            pass
    assert time.monotonic() - started < 30


def test_a_lock_elsewhere_must_be_a_postgresql(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGISTRY_LOCK_URL", "redis://127.0.0.1:6379/0")

    with (
        pytest.raises(MoveRefused, match=r"REGISTRY_LOCK_URL names a PostgreSQL, .*; got redis"),
        registry.alias_lock(workspace),
    ):
        pass


def test_nothing_was_promoted_so_nothing_can_be_rolled_back(workspace: Workspace) -> None:
    with pytest.raises(MissingArtifact, match="no previous champion to go back to: nothing was promoted"):
        rollback(workspace, deployer=None, now=NOW)


def test_without_a_challenger_there_is_nothing_to_promote(workspace: Workspace) -> None:
    registry.connect(workspace).delete_registered_model_alias(MODEL, "challenger")

    with pytest.raises(MissingArtifact, match="there is no challenger to promote: run `make train`"):
        promote(workspace, POLICY, deployer=None, now=NOW)


def test_a_line_that_a_killed_writer_left_unfinished_is_left_out(tmp_path: Path) -> None:
    workspace = Workspace(root=tmp_path, store=tmp_path / "store")
    registry.audit(workspace, {"event": "first"})
    with (workspace.mlflow / "audit.jsonl").open("a") as log:
        log.write('{"event": "sec')

    assert [line["event"] for line in read_audit(workspace)] == ["first"]
