"""The ports to where evidence comes from. What cannot be had is Missing with its reason, never an exception or zero."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol

from k8s.evidence.pairs import Pairs
from k8s.evidence.rates import Quality
from k8s.evidence.window import Missing, Operations
from k8s.rollout.pods import PodsSeen, Variant
from k8s.rollout.rollout import Rollout


class OperationsSource(Protocol):
    """Counts and latencies of both variants since the current step began."""

    def read(
        self, rollout: Rollout, pods: Mapping[Variant, PodsSeen], *, now: datetime
    ) -> tuple[Operations, dict[str, Any]]:
        """The step's windows so far, and the notes (JSON's own types) that the next look needs, see Rollout.marks."""


class QualitySource(Protocol):
    """What users did with the slates of both variants since the attempt began."""

    def read(self, rollout: Rollout, *, now: datetime) -> Quality:
        """The sums so far, of impressions that are old enough to count."""


class PairsSource(Protocol):
    """Both variants' answers to the same requests since the shadow began."""

    def read(self, rollout: Rollout, *, now: datetime) -> Pairs | Missing:
        """The comparison so far."""
