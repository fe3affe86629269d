"""The promotion policy: a pure function of the evidence. What is missing is never success."""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field

from training.evaluation.bootstrap import Interval
from training.evaluation.compare import not_below
from training.verdict import Verdict


class PromotionPolicy(BaseModel):
    """What a challenger must show."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    margin_share: float = Field(
        0.05,
        ge=0,
        le=1,
        description="largest loss of NDCG@10 that is tolerated, as a share of the champion's",
    )
    retriever_margin: float = Field(
        0.005, ge=0, le=1, description="largest loss of NDCG@10 that is tolerated against the best single retriever"
    )
    coverage_share: float = Field(
        0.8, ge=0, le=1, description="smallest coverage of the catalogue, as a share of the champion's"
    )


@dataclass(frozen=True)
class Evidence:
    """What is known of a challenger. None means that there is no such report.

    `over_retriever`: by protocol, the challenger's two stages less its best retriever alone.
    """

    champion_ndcg: float | None
    difference: Interval | None
    champion_coverage: float | None
    challenger_coverage: float | None
    canary_end_state: str | None
    over_retriever: Mapping[str, Interval] | None


@dataclass(frozen=True)
class Decision:
    verdict: Verdict
    reasons: tuple[str, ...]


def decide(evidence: Evidence, policy: PromotionPolicy) -> Decision:
    """PASS when every gate passes, FAIL when one fails, otherwise INCONCLUSIVE."""
    gates = (
        _quality(evidence, policy),
        _over_retriever(evidence, policy),
        _coverage(evidence, policy),
        _canary(evidence),
    )
    verdicts = [gate.verdict for gate in gates]
    reasons = tuple(reason for gate in gates for reason in gate.reasons)
    if Verdict.FAIL in verdicts:
        return Decision(Verdict.FAIL, reasons)
    if all(verdict is Verdict.PASS for verdict in verdicts):
        return Decision(Verdict.PASS, reasons)
    return Decision(Verdict.INCONCLUSIVE, reasons)


def _quality(evidence: Evidence, policy: PromotionPolicy) -> Decision:
    if evidence.difference is None or evidence.champion_ndcg is None:
        return Decision(Verdict.INCONCLUSIVE, ("quality: no paired comparison on a held-out window",))
    found, margin = evidence.difference, policy.margin_share * evidence.champion_ndcg
    text = f"quality: NDCG@10 differs by {found.value:+.4f} [{found.low:+.4f}, {found.high:+.4f}]"
    if found.low > -margin:
        return Decision(Verdict.PASS, (f"{text}, not below -{margin:.4f}",))
    if found.high < 0:
        return Decision(Verdict.FAIL, (f"{text}, worse than the champion",))
    return Decision(Verdict.INCONCLUSIVE, (f"{text}, which reaches below -{margin:.4f}",))


def _over_retriever(evidence: Evidence, policy: PromotionPolicy) -> Decision:
    """Two stages that lose to one of their own retrievers are not worth serving, under any protocol."""
    if not evidence.over_retriever:
        return Decision(Verdict.INCONCLUSIVE, ("retrievers: no paired comparison with the best of its own",))
    judged = {name: not_below(found, policy.retriever_margin) for name, found in evidence.over_retriever.items()}
    reasons = tuple(
        f"retrievers, {name}: NDCG@10 {found.value:+.4f} [{found.low:+.4f}, {found.high:+.4f}] over the best of its own"
        f"{'' if judged[name] is Verdict.PASS else f', which reaches below -{policy.retriever_margin:.4f}'}"
        for name, found in evidence.over_retriever.items()
    )
    for verdict in (Verdict.FAIL, Verdict.INCONCLUSIVE):
        if verdict in judged.values():
            return Decision(verdict, reasons)
    return Decision(Verdict.PASS, reasons)


def _coverage(evidence: Evidence, policy: PromotionPolicy) -> Decision:
    if evidence.champion_coverage is None or evidence.challenger_coverage is None:
        return Decision(Verdict.INCONCLUSIVE, ("coverage: not measured for both",))
    least = policy.coverage_share * evidence.champion_coverage
    text = f"coverage: {evidence.challenger_coverage:.3f} of the catalogue, at least {least:.3f} wanted"
    return Decision(Verdict.PASS if evidence.challenger_coverage >= least else Verdict.FAIL, (text,))


def _canary(evidence: Evidence) -> Decision:
    state = evidence.canary_end_state
    if state is None:
        return Decision(Verdict.INCONCLUSIVE, ("canary: no rollout of these two versions",))
    known = {"PROMOTED": Verdict.PASS, "ROLLED_BACK": Verdict.FAIL}
    return Decision(known.get(state, Verdict.INCONCLUSIVE), (f"canary: ended {state}",))
