"""The loop of a rollout: killed at every port call, raced by a second controller, it ends where it would have."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from k8s.policy.rules import CanaryPolicy, RolloutPolicy
from k8s.rollout.file_store import FileStore
from k8s.rollout.rollout import Rollout
from k8s.rollout.split import Split
from k8s.rollout.states import State
from k8s.rollout.step import Order, ordered
from k8s.rollout.store import NoRollout, StaleState, StateStore, change
from k8s.rollout.tick import Assessment, Observation, tick
from training.verdict import Verdict

START = datetime(2026, 1, 1, tzinfo=UTC)
POLICY = RolloutPolicy(canary=CanaryPolicy(min_time="0 s"))
WHOLE_WAY = ["READY_SHADOW", "PASSED", "PASSED", "PASSED", "PASSED", "PASSED_LAST"]


class Killed(BaseException):
    """The controller was killed."""


class MemoryStore:
    """Keeps a rollout as the text that a file would hold."""

    def __init__(self) -> None:
        self.text, self.version = "", 0

    def load(self) -> tuple[Rollout, str] | None:
        return (Rollout.from_json(self.text), str(self.version)) if self.version else None

    def save(self, rollout: Rollout, version: str | None) -> str:
        assert version == (str(self.version) if self.version else None)
        self.text, self.version = rollout.to_json(), self.version + 1
        return str(self.version)


@dataclass
class World:
    """A store, a plane and pods that outlive the controller. `at` counts moments at which it may die."""

    store: StateStore
    verdict: Callable[[Rollout, int], Verdict] = lambda _rollout, _look: Verdict.PASS
    die_at: int = -1
    moments: int = 0
    splits: list[Split] = field(default_factory=list)

    def moment(self) -> None:
        self.moments += 1
        if self.moments - 1 == self.die_at:
            raise Killed

    def load(self) -> tuple[Rollout, str] | None:
        self.moment()
        return self.store.load()

    def save(self, rollout: Rollout, version: str | None) -> str:
        self.moment()
        kept = self.store.save(rollout, version)
        self.moment()
        return kept

    def apply(self, split: Split) -> None:
        self.moment()
        self.splits.append(split)
        self.moment()

    def close(self) -> None:
        """Nothing is held."""

    def observe(self, rollout: Rollout, *, now: datetime) -> Observation[Verdict]:
        self.moment()
        assert now >= rollout.entered_at
        look = rollout.marks.get("looks", 0)
        return Observation(self.verdict(rollout, look), {"looks": look + 1})

    def run(self, ticks: int = 50) -> Rollout:
        """Tick until an end, as a controller does."""
        for _ in range(ticks):
            done = tick(self, plane=self, looks=self, assess=judged, clock=lambda: START)
            if done.after.ended:
                return done.after
        return done.after


def judged(_rollout: Rollout, verdict: Verdict) -> Assessment:
    return Assessment(verdict, (f"it is a {verdict}",))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return begun(tmp_path / "rollout.json")


def begun(path: Path) -> World:
    return started(FileStore(path))


def started(store: StateStore) -> World:
    store.save(Rollout.begin("1-2", "1", "2", POLICY, now=START), None)
    return World(store)


def events(rollout: Rollout) -> list[str]:
    return [move.event.value for move in rollout.history]


def twice(_rollout: Rollout, look: int) -> Verdict:
    """Every step is open at its first look."""
    return Verdict.PASS if look else Verdict.INCONCLUSIVE


def worse_at_25(rollout: Rollout, look: int) -> Verdict:
    return Verdict.FAIL if rollout.weight == 25 else twice(rollout, look)


def test_passing_every_step_shadows_first_and_ends_with_everything_at_the_canary(world: World) -> None:
    end = world.run()

    assert events(end) == WHOLE_WAY
    assert [split.weight for split in dict.fromkeys(world.splits)] == [0, 0, 1, 5, 25, 50, 100]
    assert [split.shadow for split in dict.fromkeys(world.splits)] == [False, True, *[False] * 5]
    assert len({split.first_bucket for split in world.splits}) == 1


@pytest.mark.parametrize("verdict", [twice, worse_at_25])
def test_killed_at_any_moment_the_next_controller_skips_and_repeats_nothing(
    verdict: Callable[[Rollout, int], Verdict],
) -> None:
    whole = started(MemoryStore())
    whole.verdict = verdict
    expected = whole.run()

    for moment in range(whole.moments):
        killed = started(MemoryStore())
        killed.verdict, killed.die_at = verdict, moment
        with pytest.raises(Killed):
            killed.run()
        end = killed.run()

        assert events(end) == events(expected), moment
        assert (end.state, end.split) == (expected.state, expected.split)
        assert killed.splits[-1] == expected.split
        weights = [split.weight for split in killed.splits]
        on_the_way = weights[: len(weights) - weights[::-1].index(max(weights))]
        assert on_the_way == sorted(on_the_way)


CONTROLLER = """
import sys, time
from pathlib import Path
sys.path.insert(0, {here!r})
from test_rollout_tick import World, twice
from k8s.rollout.file_store import FileStore
world = World(FileStore(Path(sys.argv[1])), verdict=twice)
world.moment = lambda: time.sleep(0.004)
world.run()
"""


def test_a_controller_that_is_killed_for_real_and_started_again_goes_on_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "rollout.json"
    begun(path)
    command = [sys.executable, "-c", CONTROLLER.format(here=str(Path(__file__).parent)), str(path)]

    first = subprocess.Popen(command, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})
    wait_for(lambda: len(events(stored(path))) >= 3)
    first.send_signal(signal.SIGKILL)
    assert first.wait(timeout=20) == -signal.SIGKILL
    halfway = events(stored(path))
    subprocess.run(command, check=True, timeout=30)

    assert len(halfway) < len(WHOLE_WAY)
    assert events(stored(path)) == WHOLE_WAY


def stored(path: Path) -> Rollout:
    return Rollout.from_json(path.read_text())


def wait_for(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.005)


def test_no_evidence_holds_and_at_the_deadline_halts_with_no_traffic_and_aliases_left_alone(world: World) -> None:
    world.verdict = lambda rollout, _: Verdict.PASS if rollout.weight < 5 else Verdict.INCONCLUSIVE
    held = world.run(ticks=20)
    late = held.entered_at + timedelta(hours=3)

    done = tick(world, plane=world, looks=world, assess=judged, clock=lambda: late)

    assert (held.state, held.weight) == (State.CANARY, 5)
    assert (done.after.state, world.splits[-1].weight) == (State.HALTED, 0)
    assert done.after.marks  # the evidence is kept


def test_evidence_that_has_run_out_halts_at_once(world: World) -> None:
    looks = World(world.store)
    looks.observe = lambda *_, **__: Observation(Verdict.INCONCLUSIVE, {}, exhausted=True)  # type: ignore[method-assign]

    done = tick(world, plane=world, looks=looks, assess=judged, clock=lambda: START)

    assert done.after.state is State.HALTED


def test_a_halted_rollout_that_is_resumed_starts_again_at_the_first_step(world: World) -> None:
    world.verdict = lambda rollout, _: Verdict.PASS if rollout.weight < 5 else Verdict.INCONCLUSIVE
    world.run(ticks=20)
    tick(world, plane=world, looks=world, assess=judged, clock=lambda: START + timedelta(hours=3))
    world.verdict = twice

    again = change(world.store, lambda held: ordered(held, Order.RESUME, by="ann", now=START + timedelta(hours=4)))

    assert (again.state, again.index, again.attempt, again.marks) == (State.PENDING, -1, 2, {})


def test_of_two_controllers_the_loser_moves_nothing_and_applies_what_the_winner_saved(world: World) -> None:
    """Both load the same state; the second to save has judged a state that is no more."""
    rival = World(world.store)

    def meanwhile(rollout: Rollout, look: int) -> Verdict:
        tick(rival, plane=rival, looks=rival, assess=judged, clock=lambda: START)
        return twice(rollout, look)

    world.verdict = meanwhile
    with pytest.raises(StaleState, match=r"somebody else has saved it since"):
        tick(world, plane=world, looks=world, assess=judged, clock=lambda: START)

    stored_now = world.store.load()
    assert stored_now is not None
    assert events(stored_now[0]) == WHOLE_WAY[:1]
    assert world.splits[-1] == rival.splits[-1] == stored_now[0].split


def test_an_order_given_during_a_tick_is_not_lost(world: World) -> None:
    def abort(rollout: Rollout, look: int) -> Verdict:
        change(world.store, lambda held: ordered(held, Order.ABORT, by="ann", now=START))
        return twice(rollout, look)

    world.verdict = abort
    with pytest.raises(StaleState):
        tick(world, plane=world, looks=world, assess=judged, clock=lambda: START)

    end = world.run()
    assert (end.state, end.reasons) == (State.ROLLED_BACK, ("abort by ann",))
    assert world.splits[-1].weight == 0


def test_an_order_waits_for_its_turn_when_somebody_else_saves_first(world: World) -> None:
    held = world.store.load()
    assert held is not None
    real, tries = world.store.save, []

    def slow(rollout: Rollout, version: str | None) -> str:
        tries.append(version)
        return real(rollout, "stale" if len(tries) == 1 else version)

    world.store.save = slow  # type: ignore[method-assign]
    end = change(world.store, lambda held: ordered(held, Order.ABORT, by="ann", now=START))

    assert (len(tries), end.state) == (2, State.ROLLED_BACK)


def test_a_store_that_is_never_free_is_a_sentence(world: World) -> None:
    world.store.save = lambda *_: (_ for _ in ()).throw(StaleState("expected it as it was loaded"))  # type: ignore[method-assign]

    with pytest.raises(StaleState):
        change(world.store, lambda held: held)


def test_without_a_rollout_there_is_nothing_to_do(tmp_path: Path) -> None:
    empty = World(FileStore(tmp_path / "none.json"))

    with pytest.raises(NoRollout, match="expected a rollout; there is none"):
        tick(empty, plane=empty, looks=empty, assess=judged, clock=lambda: START)
    with pytest.raises(NoRollout, match="expected a rollout; there is none"):
        change(empty.store, lambda held: held)


def test_two_rollouts_are_not_begun_in_one_store(world: World) -> None:
    with pytest.raises(StaleState):
        world.store.save(Rollout.begin("1-3", "1", "3", POLICY, now=START), None)


def test_the_file_is_plain_json(world: World, tmp_path: Path) -> None:
    world.run()

    held = json.loads((tmp_path / "rollout.json").read_text())
    assert (held["state"], held["policy"]["canary"]["errors"]["limit"]) == ("PROMOTED", "0.5 %")
