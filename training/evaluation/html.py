"""The HTML report: one file that needs nothing else, for people who make products.

Every name is escaped by Jinja; the plots' SVG is matplotlib's, which escapes its texts.
"""

from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from training.evaluation import plots
from training.evaluation.glossary import stem_of, term
from training.evaluation.headline import headline
from training.evaluation.page_content import Evaluation, Report

TEMPLATE = "page.html"
SEGMENTS_ARE = {
    "users": "New: nothing is known of the user yet. Heavy: more events than four in five users.",
    "items": "New: the item came up in the last days before the window, or in it.",
}
TRADED = ("coverage", "novelty", "diversity", "serendipity")


def render(report: Report) -> str:
    """The whole page."""
    pages = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    pages.filters |= {"number": number, "signed": signed}
    source = resources.files("training.evaluation").joinpath(TEMPLATE).read_text(encoding="utf-8")
    metrics = sorted({name for evaluation in report.evaluations for name in evaluation.metrics})
    return pages.from_string(source).render(
        report=report,
        sections=[_section(evaluation) for evaluation in report.evaluations],
        importances=_importances(report),
        charts=[(chart, Markup(plots.lines(chart))) for chart in report.charts],
        terms={stem_of(name): term(stem_of(name)) for name in metrics},
        term=term,
        deciding=list(dict.fromkeys(term(evaluation.metric) for evaluation in report.evaluations)),
        segments_are=SEGMENTS_ARE,
    )


def write_page(report: Report, path: Path) -> None:
    """Write the page to `path`, whose folder is made where it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render(report), encoding="utf-8")


def number(value: float) -> str:
    """Four places below 10, fewer above."""
    return f"{value:.4f}" if abs(value) < 10 else f"{value:,.2f}"


def signed(value: float) -> str:
    return f"{value:+.4f}"


def best(evaluation: Evaluation, metric: str) -> set[str]:
    """The models with the best value of a metric; none where neither way is better, or there is no choice."""
    better = term(metric).better
    values = {row.name: row.metrics[metric].value for row in evaluation.models if metric in row.metrics}
    if better is None or len(values) < 2:
        return set()
    chosen = max(values.values()) if better == "higher" else min(values.values())
    return {name for name, value in values.items() if value == chosen}


def _section(evaluation: Evaluation) -> dict[str, Any]:
    """What the template needs of one evaluation."""
    decides = evaluation.metric
    ordered = sorted(evaluation.models, key=lambda row: -row.metrics[decides].value)
    traded = [name for stem in TRADED for name in evaluation.metrics if stem_of(name) == stem]
    return {
        "evaluation": evaluation,
        "headline": headline(evaluation),
        "rows": ordered,
        "best": {metric: best(evaluation, metric) for metric in evaluation.metrics},
        "quality": Markup(plots.quality(evaluation)),
        "forest": Markup(plots.forest(evaluation)) if evaluation.differences else None,
        "trades": [(term(name).label, Markup(plots.trade_off(evaluation, name))) for name in traded],
        "segments": [
            (of, Markup(plots.segments(evaluation, of)))
            for of in ("users", "items")
            if any(row.of == of for row in evaluation.segments)
        ],
    }


def _importances(report: Report) -> Markup | None:
    found = report.importances
    return Markup(plots.importances(found)) if found and found.values else None
