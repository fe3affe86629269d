"""The loop of a rollout on a laptop: the same tick as on a cluster, with traffic sent between two ticks."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from k8s.dataplane.port import DataPlane
from k8s.evidence.looks import EvidenceLooks
from k8s.judgement.assess import Evidence, ReadyEvidence, assess
from k8s.laptop.callers import Callers, Tally
from k8s.laptop.records import Records
from k8s.laptop.stage import LocalPods
from k8s.rollout.rollout import Rollout
from k8s.rollout.states import State
from k8s.rollout.store import StaleState, StateStore
from k8s.rollout.tick import Observation, tick

# Of traffic between two looks, and between two looks at pods that are not ready, in seconds.
SENDING, WAITING = 1.0, 0.2


class LaptopLooks:
    """Adds what a laptop knows: a process that has ended, or events that have run out, bring no more evidence."""

    def __init__(
        self,
        looks: EvidenceLooks,
        pods: LocalPods,
        callers: Callers,
        *,
        warm_up: Callable[[Sequence[str]], None] = lambda _urls: None,
    ) -> None:
        self._looks = looks
        self._pods = pods
        self._callers = callers
        self._warm_up = warm_up

    def observe(self, rollout: Rollout, *, now: datetime) -> Observation[Evidence]:
        seen = self._looks.observe(rollout, now=now)
        if isinstance(seen.evidence, ReadyEvidence):
            pods = (seen.evidence.stable, seen.evidence.canary)
            if all(each.ready for each in pods):
                # Before any window begins, so that neither is judged on its first, cold answers.
                self._warm_up([url for each in pods for url in each.metrics_urls])
        over = self._callers.exhausted or (rollout.state is State.PENDING and self._pods.gone("canary"))
        return replace(seen, exhausted=seen.exhausted or over)


def conduct(
    store: StateStore,
    *,
    plane: DataPlane,
    looks: LaptopLooks,
    send: Callable[[float, State], Tally],
    records: Records,
    clock: Callable[[], datetime],
    tell: Callable[[Rollout, dict[str, Any]], None] = lambda _rollout, _record: None,
) -> Rollout:
    """Tick until an end. What an operator does meanwhile counts: the loser of a conflict looks again."""
    tallies: dict[tuple[int, State, int], Tally] = {}
    while True:
        try:
            done = tick(store, plane=plane, looks=looks, assess=assess, clock=clock)
        except StaleState:
            continue
        step = (done.before.attempt, done.before.state, done.before.index)
        record = records.looked(done, tallies.get(step, Tally()), now=clock())
        if record:
            tell(done.before, record)
        after = done.after
        if after.ended:
            return after
        if after.state is State.PENDING:
            time.sleep(WAITING)
        else:
            step = (after.attempt, after.state, after.index)
            tallies[step] = tallies.get(step, Tally()) + send(SENDING, after.state)
