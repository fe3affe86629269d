"""What one measure says, and how the words of several become one verdict."""

from collections.abc import Iterable
from dataclasses import dataclass

from k8s.rollout.tick import Assessment
from training.verdict import Verdict


@dataclass(frozen=True)
class Finding:
    """The verdict on one measure with the sentence that carries it.

    `holds` is False for a measure that can end a rollout and never keeps a step open.
    """

    measure: str
    verdict: Verdict
    reason: str
    holds: bool = True

    @classmethod
    def of(cls, measure: str, reason: str, *, failed: bool, passed: bool, holds: bool = True) -> "Finding":
        verdict = Verdict.FAIL if failed else Verdict.PASS if passed else Verdict.INCONCLUSIVE
        return cls(measure, verdict, reason, holds)

    @classmethod
    def open(cls, measure: str, reason: str, *, holds: bool = True) -> "Finding":
        return cls(measure, Verdict.INCONCLUSIVE, reason, holds)


def together(findings: Iterable[Finding]) -> Assessment:
    """One FAIL fails; else one open question that holds keeps the step open. Nothing found is nothing shown."""
    held = tuple(findings)
    reasons = tuple(f"{finding.reason} ({finding.verdict})" for finding in held)
    if any(finding.verdict is Verdict.FAIL for finding in held):
        return Assessment(Verdict.FAIL, reasons)
    open_question = any(finding.holds and finding.verdict is Verdict.INCONCLUSIVE for finding in held)
    if open_question or not any(finding.verdict is Verdict.PASS for finding in held):
        return Assessment(Verdict.INCONCLUSIVE, reasons or ("nothing was measured",))
    return Assessment(Verdict.PASS, reasons)
