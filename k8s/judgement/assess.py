"""The judgement of a rollout's current step: `assess(rollout, evidence)`, a pure function."""

from dataclasses import dataclass

from k8s.evidence.pairs import Pairs
from k8s.evidence.rates import Quality
from k8s.evidence.window import Missing, Operations
from k8s.judgement.finding import Finding, together
from k8s.judgement.operations import judge_operations
from k8s.judgement.quality import judge_quality
from k8s.judgement.shadow import judge_pairs
from k8s.rollout.pods import PodsSeen
from k8s.rollout.ready import assess_ready
from k8s.rollout.rollout import Rollout
from k8s.rollout.states import State
from k8s.rollout.tick import Assessment


@dataclass(frozen=True)
class ReadyEvidence:
    """PENDING: the pods of both variants."""

    stable: PodsSeen
    canary: PodsSeen


@dataclass(frozen=True)
class ShadowEvidence:
    """SHADOW: what the canary's pods did with mirrored requests, and both answers to each."""

    operations: Operations
    pairs: Pairs | Missing


@dataclass(frozen=True)
class CanaryEvidence:
    """A step of the canary. `quality` is None where the policy judges operations only."""

    operations: Operations
    quality: Quality | None = None


Evidence = ReadyEvidence | ShadowEvidence | CanaryEvidence


def assess(rollout: Rollout, evidence: Evidence) -> Assessment:
    """Judge the step that the rollout is in.

    Raises:
        TypeError: the evidence is that of another state.
    """
    policy = rollout.policy.canary
    if rollout.state is State.PENDING and isinstance(evidence, ReadyEvidence):
        return assess_ready(rollout, evidence.stable, evidence.canary)
    if rollout.state is State.SHADOW and isinstance(evidence, ShadowEvidence) and rollout.policy.shadow:
        operations = judge_operations(evidence.operations, policy, index=-1)
        return together((*operations, *judge_pairs(evidence.pairs, rollout.policy.shadow)))
    if rollout.state is State.CANARY and isinstance(evidence, CanaryEvidence):
        return together(_canary(evidence, rollout))
    raise TypeError(f"expected evidence of a rollout that is {rollout.state}; got {type(evidence).__name__}")


def _canary(evidence: CanaryEvidence, rollout: Rollout) -> tuple[Finding, ...]:
    policy = rollout.policy.canary
    operations = tuple(judge_operations(evidence.operations, policy, index=rollout.index))
    if policy.clicks is None and policy.conversions is None:
        return operations
    if evidence.quality is None:
        return (*operations, Finding.open("quality", "quality: no evidence, and the policy asks for it"))
    return (*operations, *judge_quality(evidence.quality, policy, index=rollout.index))
