"""The promotion policy: a pure function of the evidence. What is missing is never success."""

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field

from training.evaluation.bootstrap import Interval
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
    coverage_share: float = Field(
        0.8, ge=0, le=1, description="smallest coverage of the catalogue, as a share of the champion's"
    )


@dataclass(frozen=True)
class Evidence:
    """What is known of a challenger. None means that there is no such report."""

    champion_ndcg: float | None
    difference: Interval | None
    champion_coverage: float | None
    challenger_coverage: float | None
    canary_end_state: str | None


@dataclass(frozen=True)
class Decision:
    verdict: Verdict
    reasons: tuple[str, ...]


def decide(evidence: Evidence, policy: PromotionPolicy) -> Decision:
    """PASS when every gate passes, FAIL when one fails, otherwise INCONCLUSIVE."""
    gates = (_quality(evidence, policy), _coverage(evidence, policy), _canary(evidence))
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
