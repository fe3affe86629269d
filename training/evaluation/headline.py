"""The one sentence that a reader takes away: what won, by how much, and whether that is more than chance."""

from dataclasses import dataclass

from training.evaluation.compare import above, not_below
from training.evaluation.glossary import term
from training.evaluation.page_content import Evaluation
from training.verdict import Verdict


@dataclass(frozen=True)
class Headline:
    """`verdict` is PASS where the model is better than the reference, FAIL where worse, else INCONCLUSIVE."""

    sentence: str
    certainty: str
    verdict: Verdict


def headline(evaluation: Evaluation) -> Headline:
    model, reference = evaluation.model, evaluation.reference
    label = term(evaluation.metric).label
    value = evaluation.value(model)
    found = evaluation.difference(model)
    interval = found.estimate.interval if found else None
    if model == reference or interval is None:
        return Headline(f"{model} has {label} {value:.4f}.", "It was compared with nothing.", Verdict.INCONCLUSIVE)
    base = evaluation.value(reference)
    figures = f"{label} {value:.4f} against {base:.4f}{_share(value, base)}"
    limits = f"The 95 % interval of the difference, {interval.low:+.4f} to {interval.high:+.4f},"
    verdict = above(interval)
    if verdict is Verdict.PASS:
        return Headline(
            f"{model} is better than {reference}: {figures}.",
            f"{limits} lies above zero: more than chance.{_better_one(evaluation)}",
            verdict,
        )
    if verdict is Verdict.FAIL:
        return Headline(
            f"{model} is worse than {reference}: {figures}.",
            f"{limits} lies below zero: more than chance.{_better_one(evaluation)}",
            verdict,
        )
    bounded = not_below(interval, evaluation.margin) is Verdict.PASS
    loss = (
        f" A loss of more than {evaluation.margin:g} is ruled out."
        if bounded
        else f" A loss of more than {evaluation.margin:g} is not ruled out."
    )
    return Headline(
        f"{model} and {reference} cannot be told apart: {figures}.",
        f"{limits} holds zero.{loss}{_better_one(evaluation)}",
        verdict,
    )


def _share(value: float, base: float) -> str:
    return f", {100 * (value / base - 1):+.1f} %" if base > 0 else ""


def _better_one(evaluation: Evaluation) -> str:
    """Says so where the table holds a model with a higher value still."""
    best = max(evaluation.models, key=lambda row: row.metrics[evaluation.metric].value)
    value = evaluation.value(best.name)
    if best.name == evaluation.reference or value <= evaluation.value(evaluation.model):
        return ""
    return f" The highest value in the table is that of {best.name}, {value:.4f}."
