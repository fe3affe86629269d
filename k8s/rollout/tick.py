"""One tick of a rollout, the same on a laptop and on a cluster.

    load -> apply -> observe -> assess -> step -> save (compare-and-set) -> apply

The state in the store is the truth, and a data plane is brought to it at the start of every tick and after every
save. So a controller that is killed anywhere leaves nothing behind that the next tick does not repair: killed before
the save, the step is judged again; killed after it, the next tick applies what was saved. A loser of two controllers
gets StaleState, moves nothing, and brings the plane to what the winner saved.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Generic, Protocol, TypeVar

from k8s.dataplane.port import DataPlane
from k8s.rollout.rollout import Rollout
from k8s.rollout.step import expire, step
from k8s.rollout.store import NoRollout, StaleState, StateStore
from training.verdict import Verdict

EvidenceT = TypeVar("EvidenceT")


@dataclass(frozen=True)
class Assessment:
    """A verdict and the sentences that carry it."""

    verdict: Verdict
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Observation(Generic[EvidenceT]):
    """What a look saw. `exhausted` says that no more evidence will come for this step."""

    evidence: EvidenceT
    marks: dict[str, Any]
    exhausted: bool = False


class Looks(Protocol[EvidenceT]):
    """Whoever can look at a rollout's current step."""

    def observe(self, rollout: Rollout, *, now: datetime) -> Observation[EvidenceT]:
        """Gather the step's evidence so far."""


@dataclass(frozen=True)
class Ticked(Generic[EvidenceT]):
    """What one tick did. `before` and `after` are equal where the step goes on; `seen` is None at an end."""

    before: Rollout
    after: Rollout
    seen: Observation[EvidenceT] | None
    assessment: Assessment | None


# Pure: what the evidence says about a rollout's current step.
Assess = Callable[[Rollout, EvidenceT], Assessment]


def tick(
    store: StateStore,
    *,
    plane: DataPlane,
    looks: Looks[EvidenceT],
    assess: Assess[EvidenceT],
    clock: Callable[[], datetime],
) -> Ticked[EvidenceT]:
    """Advance a rollout by one look, and leave the data plane as the stored state says.

    Raises:
        NoRollout: the store holds none.
        StaleState: another controller, or an operator, saved meanwhile. The plane follows what they saved.
    """
    before, version = bring(store, plane)
    if before.ended:
        return Ticked(before, before, None, None)
    seen = looks.observe(before, now=clock())
    assessment = assess(before, seen.evidence)
    noted = replace(before, marks=seen.marks)
    move = expire if seen.exhausted else step
    after = move(noted, assessment.verdict, assessment.reasons, now=clock())
    try:
        store.save(after, version)
    except StaleState:
        bring(store, plane)
        raise
    bring(store, plane)
    return Ticked(before, after, seen, assessment)


def bring(store: StateStore, plane: DataPlane) -> tuple[Rollout, str]:
    """Apply the stored split until what was applied is what is stored: somebody may save meanwhile."""
    held = _held(store)
    while True:
        plane.apply(held[0].split)
        now_held = _held(store)
        if now_held[0].split == held[0].split:
            return now_held
        held = now_held


def _held(store: StateStore) -> tuple[Rollout, str]:
    held = store.load()
    if held is None:
        raise NoRollout("expected a rollout; there is none")
    return held
