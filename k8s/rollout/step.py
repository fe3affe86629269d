"""Moves of a rollout: by a verdict, or by an operator's word. Pure; the time is passed in."""

from dataclasses import replace
from datetime import datetime, timedelta
from enum import StrEnum

from feature_repo.core.errors import RecommenderError
from k8s.rollout.rollout import KEPT_MOVES, Move, Rollout
from k8s.rollout.states import Event, State, next_state
from training.verdict import Verdict


class OrderRefused(RecommenderError):
    """An operator asked for what the rollout cannot do now."""


class Order(StrEnum):
    """What an operator may ask for."""

    PAUSE = "pause"  # stay at this weight; evidence goes on, a FAIL still rolls back, the deadline does not run
    RESUME = "resume"  # go on; a halted rollout starts again at the first step
    ABORT = "abort"  # roll back now
    SKIP = "skip"  # leave this step without its evidence; never the last one


# Events that are an operator's.
_ORDERED = {Order.PAUSE: Event.PAUSE, Order.ABORT: Event.ABORT, Order.SKIP: Event.SKIP}


def step(rollout: Rollout, verdict: Verdict, reasons: tuple[str, ...], *, now: datetime) -> Rollout:
    """Move by one verdict. A canary's step that passes early is held for the policy's shortest time."""
    if verdict is Verdict.PASS and rollout.state is State.CANARY:
        too_early = rollout.seconds_in_step(now) < rollout.policy.canary.min_time
        verdict = Verdict.INCONCLUSIVE if too_early else verdict
    return _moved(rollout, _event(rollout, verdict, rollout.expired(now)), reasons, now)


def expire(rollout: Rollout, verdict: Verdict, reasons: tuple[str, ...], *, now: datetime) -> Rollout:
    """Move by the last verdict that this step can have: no more evidence will come."""
    return _moved(rollout, _event(rollout, verdict, True), reasons, now)


def ordered(rollout: Rollout, order: Order, *, by: str, now: datetime) -> Rollout:
    """Move by an operator's word.

    Raises:
        OrderRefused: the last step cannot be skipped; a rollout is paused or resumed twice.
        UnknownTransition: the state does not know the order.
    """
    if order is Order.SKIP and rollout.last_step:
        raise OrderRefused("expected a step before the last: nothing is promoted without evidence; got skip")
    if order is Order.PAUSE and rollout.paused_at:
        raise OrderRefused("expected a rollout that is going on; got one that is paused")
    if order is Order.RESUME:
        return _resumed(rollout, by, now)
    return _moved(rollout, _ORDERED[order], (f"{order} by {by}",), now)


def _resumed(rollout: Rollout, by: str, now: datetime) -> Rollout:
    if rollout.state is State.HALTED:
        return _moved(rollout, Event.RESTART, (f"restarted by {by}",), now)
    if rollout.paused_at is None:
        raise OrderRefused(f"expected a rollout that is paused or halted; got one that is {rollout.state}")
    return _moved(rollout, Event.RESUME, (f"resumed by {by}",), now)


def _event(rollout: Rollout, verdict: Verdict, last_chance: bool) -> Event:
    if verdict is Verdict.FAIL:
        return Event.FAILED
    if rollout.paused_at:
        return Event.UNDECIDED
    if verdict is Verdict.PASS:
        return _passed(rollout)
    return Event.EXPIRED if last_chance else Event.UNDECIDED


def _passed(rollout: Rollout) -> Event:
    if rollout.state is State.PENDING:
        return Event.READY_SHADOW if rollout.policy.shadow else Event.READY
    return Event.PASSED_LAST if rollout.last_step else Event.PASSED


def _moved(rollout: Rollout, event: Event, reasons: tuple[str, ...], now: datetime) -> Rollout:
    state = next_state(rollout.state, event)
    if event is Event.UNDECIDED:
        return replace(rollout, reasons=reasons)
    if event is Event.PAUSE:
        moved = replace(rollout, paused_at=now)
    elif event is Event.RESUME and rollout.paused_at:
        held = rollout.held_seconds + (now - rollout.paused_at) / timedelta(seconds=1)
        moved = replace(rollout, paused_at=None, held_seconds=held)
    else:
        moved = _entered(rollout, state, event, now)
    move = Move(now, event, moved.state, moved.index, reasons)
    return replace(moved, reasons=reasons, history=(*rollout.history, move)[-KEPT_MOVES:])


def _entered(rollout: Rollout, state: State, event: Event, now: datetime) -> Rollout:
    """A rollout in its next step, where nothing is used up yet. An end keeps what its last step had."""
    moved = replace(rollout, state=state, paused_at=None)
    if event is Event.RESTART:
        return replace(
            moved, index=-1, attempt=rollout.attempt + 1, started_at=now, entered_at=now, held_seconds=0.0, marks={}
        )
    if moved.ended:
        return moved
    index = rollout.index + 1 if state is State.CANARY else -1
    return replace(moved, index=index, entered_at=now, held_seconds=0.0, marks={})
