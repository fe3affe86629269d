"""One look at a rollout's current step: ask the pods, read the sources that its state needs."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from k8s.evidence.ports import OperationsSource, PairsSource, QualitySource
from k8s.evidence.window import Missing, Operations
from k8s.judgement.assess import CanaryEvidence, Evidence, ReadyEvidence, ShadowEvidence
from k8s.rollout.pods import VARIANTS, Pods, PodsSeen, Variant
from k8s.rollout.rollout import Rollout
from k8s.rollout.states import State
from k8s.rollout.tick import Observation

# Since when, without a break, operations were missing: under this name among the rollout's marks.
SILENT = "silent_since"


class EvidenceLooks:
    """What `tick` looks through, on a laptop and on a cluster."""

    def __init__(
        self,
        pods: Pods,
        operations: OperationsSource,
        *,
        quality: QualitySource | None = None,
        pairs: PairsSource | None = None,
    ) -> None:
        self._pods = pods
        self._operations = operations
        self._quality = quality
        self._pairs = pairs

    def observe(self, rollout: Rollout, *, now: datetime) -> Observation[Evidence]:
        """The evidence of the current step so far."""
        pods: Mapping[Variant, PodsSeen] = {variant: self._pods.seen(variant) for variant in VARIANTS}
        if rollout.state is State.PENDING:
            return Observation(ReadyEvidence(stable=pods["stable"], canary=pods["canary"]), {})
        operations, marks = self._operations.read(rollout, pods, now=now)
        silent = _silent_since(rollout, operations, now)
        noted: dict[str, Any] = {**marks, **({SILENT: silent.isoformat()} if silent else {})}
        limit = timedelta(seconds=rollout.policy.canary.max_silence)
        exhausted = silent is not None and now - silent >= limit and rollout.paused_at is None
        return Observation(self._evidence(rollout, operations, now), noted, exhausted=exhausted)

    def _evidence(self, rollout: Rollout, operations: Operations, now: datetime) -> Evidence:
        if rollout.state is State.SHADOW:
            unread = Missing("nobody reads the answers of the shadow")
            return ShadowEvidence(operations, self._pairs.read(rollout, now=now) if self._pairs else unread)
        return CanaryEvidence(operations, self._quality.read(rollout, now=now) if self._quality else None)


def _silent_since(rollout: Rollout, operations: Operations, now: datetime) -> datetime | None:
    if not (isinstance(operations.canary, Missing) or isinstance(operations.stable, Missing)):
        return None
    held = rollout.marks.get(SILENT)
    return datetime.fromisoformat(held) if held else now
