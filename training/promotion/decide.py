"""From evidence and policy to a decision: every gate that the policy asks for, in order."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from training.promotion import gates
from training.promotion.evidence import Absent, Evidence
from training.promotion.gates import Opinion
from training.promotion.policy import PromotionPolicy
from training.verdict import Verdict

# Gate -> what weighs its evidence. Gates of `offline` carry the names of its fields.
_OFFLINE: dict[str, Callable[[Any, Any], Opinion]] = {
    "quality": gates.quality,
    "retrievers": gates.retrievers,
    "coverage": gates.breadth,
    "novelty": gates.breadth,
    "segments": gates.segments,
    "index_recall": gates.index_recall,
    "leaks": gates.leaks,
    "drift": gates.drift,
    "latency": gates.latency,
    "fairness": lambda found, _: gates.told(found),
    "skew": lambda found, _: gates.told(found),
}
_LATER = ("shadow", "canary")


@dataclass(frozen=True)
class Gate:
    """One gate that was asked."""

    name: str
    verdict: Verdict
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Decision:
    verdict: Verdict
    gates: tuple[Gate, ...]

    @property
    def reasons(self) -> tuple[str, ...]:
        return tuple(f"{gate.name}: {reason}" for gate in self.gates for reason in gate.reasons)


def decide(evidence: Evidence, policy: PromotionPolicy) -> Decision:
    """PASS when every gate that is asked passes, FAIL when one fails, otherwise INCONCLUSIVE."""
    asked = [_gate(name, evidence, getattr(policy.offline, name), weigh) for name, weigh in _OFFLINE.items()]
    asked += [_gate(name, evidence, getattr(policy, name), lambda found, _: gates.told(found)) for name in _LATER]
    found = tuple(gate for gate in asked if gate is not None)
    return Decision(gates.worst([gate.verdict for gate in found]), found)


def _gate(name: str, evidence: Evidence, rule: Any, weigh: Callable[[Any, Any], Opinion]) -> Gate | None:
    if rule is None:
        return None
    found = getattr(evidence, name)
    if isinstance(found, Absent):
        return Gate(name, Verdict.INCONCLUSIVE, (found.why,))
    opinion = weigh(found, rule)
    return Gate(name, opinion.verdict, opinion.reasons)
