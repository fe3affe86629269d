"""The rollout machine: what moves it, what ends it, and what it never does."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_repo.core.assignment import first_bucket
from k8s.policy.rules import CanaryPolicy, RolloutPolicy
from k8s.rollout.rollout import KEPT_MOVES, Rollout, RolloutUnreadable
from k8s.rollout.split import Split, SplitRefused
from k8s.rollout.states import ENDS, TRANSITIONS, Event, State, UnknownTransition, next_state
from k8s.rollout.step import Order, OrderRefused, ordered, step
from training.verdict import Verdict

START = datetime(2026, 1, 1, tzinfo=UTC)
LATE = START + timedelta(hours=9)
POLICY = RolloutPolicy(canary=CanaryPolicy(min_time="0 s"))
FRESH = Rollout.begin("1-2", "1", "2", POLICY, now=START)
WHY = ("because",)
# A verdict or an order, and whether the step's deadline had passed when it came.
WALKS = st.lists(st.tuples(st.sampled_from([*Verdict, *Order]), st.booleans()), max_size=14)


def walk(moves: list[tuple[Verdict | Order, bool]], rollout: Rollout = FRESH) -> list[Rollout]:
    """Every rollout on the way; a move that is refused is left out."""
    path, now = [rollout], START
    for move, late in moves:
        now += timedelta(hours=9) if late else timedelta(seconds=1)
        try:
            path.append(moved(path[-1], move, now))
        except (UnknownTransition, OrderRefused):
            continue
    return path


def moved(rollout: Rollout, move: Verdict | Order, now: datetime = START) -> Rollout:
    if isinstance(move, Order):
        return ordered(rollout, move, by="ann", now=now)
    return step(rollout, move, WHY, now=now)


def passed(steps: int) -> Rollout:
    return walk([(Verdict.PASS, False)] * steps)[-1]


def test_passing_every_step_shadows_walks_up_the_weights_and_promotes() -> None:
    path = walk([(Verdict.PASS, False)] * 6)

    assert [rollout.state for rollout in path[:3]] == [State.PENDING, State.SHADOW, State.CANARY]
    assert [rollout.weight for rollout in path] == [0, 0, 1, 5, 25, 50, 100]
    assert path[-1].state is State.PROMOTED


def test_a_policy_without_a_shadow_starts_with_the_first_step() -> None:
    bare = Rollout.begin("1-2", "1", "2", RolloutPolicy(shadow=None), now=START)

    assert (moved(bare, Verdict.PASS).state, moved(bare, Verdict.PASS).weight) == (State.CANARY, 1)


@pytest.mark.parametrize("steps_passed", range(6))
@pytest.mark.parametrize("end", [Verdict.FAIL, Order.ABORT])
def test_a_failure_or_an_abort_rolls_back_from_every_step(steps_passed: int, end: Verdict | Order) -> None:
    rolled = moved(passed(steps_passed), end)

    assert (rolled.state, rolled.weight) == (State.ROLLED_BACK, 0)


def test_an_open_question_holds_the_step_and_at_the_deadline_halts() -> None:
    held = moved(passed(3), Verdict.INCONCLUSIVE, START + timedelta(minutes=5))
    halted = moved(held, Verdict.INCONCLUSIVE, LATE)

    assert (held.state, held.weight, held.history) == (State.CANARY, 5, passed(3).history)
    assert (halted.state, halted.weight, halted.reasons) == (State.HALTED, 0, WHY)


def test_a_step_that_passes_at_its_deadline_passes() -> None:
    assert moved(passed(3), Verdict.PASS, LATE).weight == 25


def test_a_step_lasts_its_shortest_time_even_if_it_passes_at_once() -> None:
    slow = replace(passed(2), policy=RolloutPolicy(canary=CanaryPolicy(min_time="60 s")))

    early, late = (moved(slow, Verdict.PASS, slow.entered_at + timedelta(seconds=wait)) for wait in (59, 60))

    assert (early.weight, late.weight) == (1, 5)


def test_a_pause_holds_the_weight_stops_the_clock_and_still_rolls_back() -> None:
    paused = moved(passed(3), Order.PAUSE, START + timedelta(hours=1))
    resumed = moved(paused, Order.RESUME, START + timedelta(hours=9))

    assert moved(paused, Verdict.PASS, LATE).weight == 5
    assert moved(paused, Verdict.INCONCLUSIVE, LATE).state is State.CANARY
    assert moved(paused, Verdict.FAIL, LATE).state is State.ROLLED_BACK
    assert resumed.seconds_in_step(START + timedelta(hours=9)) == pytest.approx(3600, abs=10)
    assert moved(resumed, Verdict.PASS, LATE).weight == 25


def test_skip_leaves_a_step_without_its_evidence_but_never_the_last() -> None:
    assert moved(passed(1), Order.SKIP).weight == 1
    assert moved(passed(2), Order.SKIP).weight == 5
    with pytest.raises(OrderRefused, match="nothing is promoted without evidence; got skip"):
        moved(passed(5), Order.SKIP)


@pytest.mark.parametrize(
    ("rollout", "order", "sentence"),
    [
        (moved(passed(2), Order.PAUSE), Order.PAUSE, "expected a rollout that is going on; got one that is paused"),
        (passed(2), Order.RESUME, "expected a rollout that is paused or halted; got one that is CANARY"),
        (passed(6), Order.ABORT, "a rollout that is PROMOTED takes nothing; got ABORT"),
        (FRESH, Order.SKIP, "a rollout that is PENDING takes READY, .*; got SKIP"),
    ],
)
def test_an_order_that_makes_no_sense_is_one_sentence(rollout: Rollout, order: Order, sentence: str) -> None:
    with pytest.raises((OrderRefused, UnknownTransition), match=sentence):
        moved(rollout, order)


@pytest.mark.parametrize("state", [State.PROMOTED, State.ROLLED_BACK, State.HALTED])
@pytest.mark.parametrize("verdict", list(Verdict))
def test_no_verdict_leads_out_of_an_end(state: State, verdict: Verdict) -> None:
    with pytest.raises(UnknownTransition, match=f"a rollout that is {state} takes "):
        moved(replace(FRESH, state=state), verdict)


def test_the_table_reaches_every_state_and_only_a_person_restarts() -> None:
    out_of_ends = {(state, event) for state, event in TRANSITIONS if state in ENDS}

    assert set(TRANSITIONS.values()) == set(State)
    assert out_of_ends == {(State.HALTED, Event.RESTART), (State.HALTED, Event.ABORT)}
    with pytest.raises(UnknownTransition):
        next_state(State.PROMOTED, Event.RESTART)


@given(WALKS)
def test_a_rollout_is_never_promoted_without_a_pass_of_its_last_step(moves: list[tuple[Verdict | Order, bool]]) -> None:
    end = walk(moves)[-1]

    if end.state is State.PROMOTED:
        last = [move.event for move in end.history][-1]
        assert last is Event.PASSED_LAST
        attempt = [move for move in end.history if move.at >= end.started_at]
        assert [move.index for move in attempt if move.event in (Event.PASSED, Event.SKIP)][-3:] == [1, 2, 3]


@given(WALKS)
def test_only_a_canary_or_the_promoted_have_traffic_and_json_keeps_everything(
    moves: list[tuple[Verdict | Order, bool]],
) -> None:
    for rollout in walk(moves):
        assert (rollout.weight > 0) == (rollout.state in (State.CANARY, State.PROMOTED))
        assert rollout.split.first_bucket == first_bucket("1-2")
        assert Rollout.from_json(rollout.to_json()) == rollout


def test_a_history_keeps_its_newest_moves_so_that_a_config_map_can_hold_it() -> None:
    moves: list[tuple[Verdict | Order, bool]] = [(Order.PAUSE, False), (Order.RESUME, False)]

    long = walk(moves * 150, passed(2))[-1]

    assert len(long.history) == KEPT_MOVES
    assert len(long.to_json()) < 100_000


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "got .*"),
        ("[]", "got a list"),
        ('{"colour": 1}', "got the unknown key 'colour'"),
        (json.dumps({**json.loads(FRESH.to_json()), "state": "ODD"}), "got state: Input should be 'PENDING'"),
        ('{"name": "a"}', "got champion: "),
    ],
)
def test_a_state_that_cannot_be_read_is_one_sentence(text: str, reason: str) -> None:
    with pytest.raises(RolloutUnreadable, match=f"expected the state of a rollout; {reason}") as told:
        Rollout.from_json(text)

    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("weight", "first", "shadow", "sentence"),
    [
        (101, 0, False, "expected a weight from 0 to 100; got 101"),
        (5, 100, False, "expected a first bucket from 0 to 99; got 100"),
        (5, 0, True, "expected weight 0 beside a shadow, which no user sees; got 5"),
    ],
)
def test_a_split_that_cannot_be_is_refused(weight: int, first: int, shadow: bool, sentence: str) -> None:
    with pytest.raises(SplitRefused, match=sentence):
        Split(weight, first, shadow)


def test_a_range_of_buckets_goes_round() -> None:
    assert Split(5, 98).buckets() == (98, 99, 0, 1, 2)
