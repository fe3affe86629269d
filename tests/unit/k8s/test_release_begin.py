"""A rollout on a cluster begins when its offline gates hold, and once."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from k8s.controller.begin import begin_rollout
from k8s.controller.resting import resting_split
from k8s.policy.rules import RolloutPolicy
from k8s.rollout.file_store import FileStore
from k8s.rollout.pods import PodsSeen
from k8s.rollout.rollout import Rollout
from k8s.rollout.states import State
from k8s.rollout.step import Order, ordered
from training.promotion.decide import Decision, Gate
from training.promotion.filed import Pair
from training.verdict import Verdict

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
POLICY = RolloutPolicy(shadow=None)
PAIR = Pair("1", "2")


def said(verdict: Verdict) -> Decision:
    return Decision(verdict, (Gate("quality", verdict, ("said so",)),))


def begin(
    store: FileStore,
    pair: Pair = PAIR,
    *,
    policy: RolloutPolicy = POLICY,
    verdict: Verdict = Verdict.PASS,
    mirrors: bool = False,
    again: bool = False,
) -> str:
    return begin_rollout(
        store, pair, policy, judge=lambda _: said(verdict), mirrors=lambda: mirrors, again=again, now=NOW
    )


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore(tmp_path / "state.json")


def end(store: FileStore) -> None:
    held = store.load()
    assert held is not None
    store.save(ordered(held[0], Order.ABORT, by="a test", now=NOW + timedelta(minutes=1)), held[1])


def test_a_challenger_that_passes_its_gates_is_released(store: FileStore) -> None:
    told = begin(store)

    held = store.load()
    assert told == "the rollout 1-2-20260301120000 begins"
    assert held is not None
    assert (held[0].champion, held[0].challenger, held[0].state) == ("1", "2", State.PENDING)


@pytest.mark.parametrize("verdict", [Verdict.FAIL, Verdict.INCONCLUSIVE])
def test_a_challenger_that_does_not_pass_is_not_released(verdict: Verdict, store: FileStore) -> None:
    told = begin(store, verdict=verdict)

    assert told == f"{verdict}: version 2 is not released: quality: said so"
    assert store.load() is None


def test_a_shadow_needs_a_gateway_that_mirrors(store: FileStore) -> None:
    refused = begin(store, policy=RolloutPolicy(), mirrors=False)
    begun = begin(store, policy=RolloutPolicy(), mirrors=True)

    assert "does not say that it mirrors requests (HTTPRouteRequestMirror); `shadow: null` does without" in refused
    assert begun.endswith("begins")


def test_a_rollout_that_is_under_way_is_left_alone(store: FileStore) -> None:
    begin(store)

    told = begin(store, Pair("1", "3"), again=True)

    assert told == "the rollout 1-2-20260301120000 is under way: PENDING"


def test_versions_that_had_their_rollout_get_another_one_only_when_asked(store: FileStore) -> None:
    begin(store)
    end(store)

    told = [begin(store), begin(store, again=True)]

    assert told[0] == "up to date: the rollout 1-2-20260301120000 of these versions ended ROLLED_BACK"
    assert told[1].endswith("begins")


def test_another_challenger_follows_a_rollout_that_ended(store: FileStore) -> None:
    begin(store)
    end(store)

    assert begin(store, Pair("1", "3")) == "the rollout 1-3-20260301120000 begins"


@pytest.mark.parametrize(
    ("state", "stable", "weight"),
    [
        (State.PROMOTED, PodsSeen(2, 2, ("1",), ()), 100),
        (State.PROMOTED, PodsSeen(1, 2, ("2",), ()), 100),
        (State.PROMOTED, PodsSeen(2, 2, ("1", "2"), ()), 100),
        (State.PROMOTED, PodsSeen(0, 0, (), ()), 100),
        (State.PROMOTED, PodsSeen(2, 2, ("2",), ()), 0),
        (State.ROLLED_BACK, PodsSeen(2, 2, ("2",), ()), 0),
        (State.HALTED, PodsSeen(2, 2, ("1",), ()), 0),
    ],
)
def test_traffic_returns_to_the_stable_once_all_of_it_serves_what_was_promoted(
    state: State, stable: PodsSeen, weight: int
) -> None:
    ended = Rollout("1-2", "1", "2", POLICY, started_at=NOW, entered_at=NOW, state=state, index=3)

    assert resting_split(ended, stable).weight == weight
