"""The rollout machine: what moves it, what ends it, and what it never does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8s.policy import Policy
from k8s.rollout import TRANSITIONS, Rollout, State, UnknownTransitionError, spend, step, weight_of
from training.verdict import Verdict

POLICY = Policy(steps=(10, 50, 100), max_step_requests=100, max_step_seconds=60)
VERDICTS = st.sampled_from(Verdict)
# A verdict, and whether the step's deadline had passed when it came.
WALKS = st.lists(st.tuples(VERDICTS, st.booleans()), max_size=12)


def walk(moves: list[tuple[Verdict, bool]]) -> list[Rollout]:
    """Every rollout on the way, up to the end or the last move."""
    path = [Rollout()]
    for verdict, late in moves:
        if path[-1].ended:
            break
        path.append(step(spend(path[-1], requests=100 if late else 1, seconds=0), verdict, POLICY))
    return path


def test_passing_every_step_walks_up_the_weights_and_promotes() -> None:
    path = walk([(Verdict.PASS, False)] * 4)

    assert [weight_of(rollout, POLICY) for rollout in path] == [0, 10, 50, 100, 100]
    assert path[-1].state is State.PROMOTED


@pytest.mark.parametrize("steps_passed", [0, 1, 2, 3])
def test_a_failure_rolls_back_from_every_step_and_takes_the_weight_away(steps_passed: int) -> None:
    path = walk([(Verdict.PASS, False)] * steps_passed + [(Verdict.FAIL, False)])

    assert path[-1].state is State.ROLLED_BACK
    assert weight_of(path[-1], POLICY) == 0


def test_an_open_question_holds_the_step_and_keeps_what_it_has_used() -> None:
    held = walk([(Verdict.PASS, False), (Verdict.INCONCLUSIVE, False), (Verdict.INCONCLUSIVE, False)])[-1]

    assert (held.state, held.index, held.requests) == (State.CANARY, 0, 2)


@pytest.mark.parametrize(
    ("requests", "seconds", "exhausted"),
    [(100, 0, False), (0, 60, False), (0, 0, True)],
    ids=["requests", "time", "no more traffic"],
)
def test_an_open_question_at_the_deadline_halts(requests: int, seconds: float, exhausted: bool) -> None:
    canary = Rollout(state=State.CANARY, index=1)

    late = step(spend(canary, requests=requests, seconds=seconds, exhausted=exhausted), Verdict.INCONCLUSIVE, POLICY)

    assert late.state is State.HALTED
    assert weight_of(late, POLICY) == 0


def test_a_step_that_passes_at_its_deadline_passes() -> None:
    late = spend(Rollout(state=State.CANARY, index=0), requests=100, seconds=60)

    assert step(late, Verdict.PASS, POLICY) == Rollout(state=State.CANARY, index=1)


@pytest.mark.parametrize("state", [State.PROMOTED, State.ROLLED_BACK, State.HALTED])
@pytest.mark.parametrize("verdict", list(Verdict))
def test_nothing_leads_out_of_an_end(state: State, verdict: Verdict) -> None:
    with pytest.raises(UnknownTransitionError, match=f"expected an event that {state} knows"):
        step(Rollout(state=state, index=2), verdict, POLICY)


def test_the_table_has_no_entry_for_an_end_and_reaches_every_state() -> None:
    ends = {State.PROMOTED, State.ROLLED_BACK, State.HALTED}

    assert not ends & {state for state, _ in TRANSITIONS}
    assert set(TRANSITIONS.values()) == set(State)


@given(WALKS)
def test_a_rollout_is_never_promoted_without_a_pass_for_every_step(moves: list[tuple[Verdict, bool]]) -> None:
    path = walk(moves)

    passes = sum(verdict is Verdict.PASS for verdict, _ in moves[: len(path) - 1])
    assert (path[-1].state is State.PROMOTED) == (passes == 1 + len(POLICY.steps))


@given(WALKS)
def test_the_weight_never_falls_while_steps_pass(moves: list[tuple[Verdict, bool]]) -> None:
    path = walk(moves)

    weights = [weight_of(rollout, POLICY) for rollout in path if rollout.state not in (State.ROLLED_BACK, State.HALTED)]
    assert weights == sorted(weights)


@given(WALKS, st.integers(0, 50), st.floats(0, 50))
def test_spending_changes_no_state_and_no_weight(
    moves: list[tuple[Verdict, bool]], requests: int, seconds: float
) -> None:
    before = walk(moves)[-1]

    after = spend(before, requests=requests, seconds=seconds)

    assert (after.state, after.index, weight_of(after, POLICY)) == (
        before.state,
        before.index,
        weight_of(before, POLICY),
    )
