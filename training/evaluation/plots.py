"""The report's plots, as SVG text.

Drawn with matplotlib's Figure objects, so no state is shared; colours are those of Okabe and Ito, which people with any
colour vision can tell apart, and shapes say the same once more. Figures are narrow, to be read on a phone.
"""

import io
from collections.abc import Sequence
from html import escape
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from training.evaluation.glossary import term
from training.evaluation.page_content import Chart, Estimate, Evaluation, Importances, SegmentRow
from training.evaluation.place_labels import label_points

WIDTH = 4.7  # inches
BLUE, VERMILION, GREY = "#0072B2", "#D55E00", "#6B6B6B"
LINES = (BLUE, VERMILION, "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MOST_FEATURES = 20
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "report",
    "text.parse_math": False,
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#767676",
    "axes.axisbelow": True,
    "grid.color": "#E3E3E3",
}


def quality(evaluation: Evaluation) -> str:
    """The metric that decides, of every model, best first, with intervals."""
    rows = sorted(evaluation.models, key=lambda row: row.metrics[evaluation.metric].value)
    with mpl.rc_context(STYLE):
        figure, axes = _rows(len(rows))
        for place, row in enumerate(rows):
            colour, marker = _look(row.name, evaluation)
            _dot(axes, place, row.metrics[evaluation.metric], colour, marker)
        _name_rows(axes, [row.name for row in rows])
        axes.set_xlabel(f"{term(evaluation.metric).label}, with its 95 % interval")
        return _svg(figure, f"{term(evaluation.metric).label} of every model")


def forest(evaluation: Evaluation) -> str:
    """Paired differences from the reference, with the line of zero and that of the tolerated loss."""
    rows = sorted(evaluation.differences, key=lambda d: d.estimate.value)
    with mpl.rc_context(STYLE):
        figure, axes = _rows(len(rows))
        axes.axvline(0.0, color="black", linewidth=1)
        axes.axvline(-evaluation.margin, color=GREY, linewidth=1, linestyle=(0, (4, 3)))
        for place, row in enumerate(rows):
            interval = row.estimate.interval
            certain = interval is not None and interval.excludes_zero
            colour = GREY if not certain else BLUE if row.estimate.value > 0 else VERMILION
            _dot(axes, place, row.estimate, colour, "o" if not certain else "^" if row.estimate.value > 0 else "v")
        _name_rows(axes, [row.model for row in rows])
        axes.set_xlabel(f"{term(evaluation.metric).label} minus that of {evaluation.reference}")
        return _svg(figure, f"Differences from {evaluation.reference}")


def trade_off(evaluation: Evaluation, metric: str) -> str:
    """The metric that decides against another one, a point for each model that has both."""
    rows = [row for row in evaluation.models if metric in row.metrics]
    x = np.array([row.metrics[metric].value for row in rows])
    y = np.array([row.metrics[evaluation.metric].value for row in rows])
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 3.6), layout="constrained")
        axes = figure.subplots()
        for row, across, up in zip(rows, x, y, strict=True):
            colour, marker = _look(row.name, evaluation)
            axes.plot(across, up, marker=marker, color=colour, markersize=7, linestyle="none")
        axes.margins(0.15)
        axes.grid()
        axes.set_xlabel(term(metric).label)
        axes.set_ylabel(term(evaluation.metric).label)
        chosen = (evaluation.model, evaluation.reference)
        first = sorted(range(len(rows)), key=lambda n: (rows[n].name not in chosen, -y[n]))
        label_points(figure, axes, [(rows[n].name, float(x[n]), float(y[n])) for n in first])
        return _svg(figure, f"{term(evaluation.metric).label} against {term(metric).label}")


def segments(evaluation: Evaluation, of: str) -> str:
    """Bars of the model and its reference in every segment of `of`, users or items."""
    rows = [row for row in evaluation.segments if row.of == of]
    names = list(dict.fromkeys(row.segment for row in rows))[::-1]
    models = [name for name in (evaluation.model, evaluation.reference) if any(row.model == name for row in rows)]
    models = list(dict.fromkeys(models)) or list(dict.fromkeys(row.model for row in rows))
    height = 0.8 / len(models)
    with mpl.rc_context(STYLE):
        figure, axes = _rows(len(names) * (len(models) + 1) * 0.8)
        for number, model in enumerate(models):
            found = {row.segment: row for row in rows if row.model == model}
            places = [place for place, name in enumerate(names) if name in found]
            chosen = [found[names[place]] for place in places]
            middle = np.array(places) + 0.4 - height * (number + 0.5)
            _bars(axes, middle, chosen, height, LINES[number % len(LINES)], model)
        sizes = {row.segment: f"{row.segment}\n{row.requests:,} requests" for row in rows}
        _name_rows(axes, [sizes[name] for name in names])
        axes.set_xlabel(f"{term(evaluation.metric).label}, with its 95 % interval")
        figure.legend(loc="outside upper left", ncols=2, frameon=False)
        return _svg(figure, f"{term(evaluation.metric).label} by segment of {of}")


def importances(found: Importances) -> str:
    """The features that weigh most, at most MOST_FEATURES of them."""
    rows = sorted(found.values.items(), key=lambda pair: pair[1])[-MOST_FEATURES:]
    with mpl.rc_context(STYLE):
        figure, axes = _rows(len(rows))
        axes.barh(range(len(rows)), [value for _, value in rows], height=0.7, color=BLUE)
        _name_rows(axes, [name for name, _ in rows])
        axes.set_xlabel(found.measure)
        return _svg(figure, f"Features by {found.measure}")


def lines(chart: Chart) -> str:
    """Lines over one axis."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 3.2), layout="constrained")
        axes = figure.subplots()
        for number, line in enumerate(chart.lines):
            colour, marker = LINES[number % len(LINES)], "osD^v<>"[number % 7]
            axes.plot(line.x, line.y, color=colour, marker=marker, markersize=4, label=line.name)
        axes.grid()
        axes.set_xlabel(chart.x_label)
        axes.set_ylabel(chart.y_label)
        if len(chart.lines) > 1:
            figure.legend(loc="outside upper left", ncols=3, frameon=False)
        return _svg(figure, chart.title)


def _rows(count: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(WIDTH, 0.9 + 0.27 * max(count, 1)), layout="constrained")
    axes = figure.subplots()
    axes.grid(axis="x")
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
    return figure, axes


def _name_rows(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), [_short(name) for name in names])
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.tick_params(axis="y", length=0)


def _short(name: str) -> str:
    return name if len(name) <= 40 else f"{name[:39]}…"


def _look(name: str, evaluation: Evaluation) -> tuple[str, str]:
    if name == evaluation.model:
        return BLUE, "D"
    return (VERMILION, "s") if name == evaluation.reference else (GREY, "o")


def _dot(axes: Axes, place: int, estimate: Estimate, colour: str, marker: str) -> None:
    if estimate.low is not None and estimate.high is not None:
        axes.plot([estimate.low, estimate.high], [place, place], color=colour, linewidth=2)
    axes.plot(estimate.value, place, marker=marker, color=colour, markersize=5)


def _bars(axes: Axes, middle: Any, rows: list[SegmentRow], height: float, colour: str, model: str) -> None:
    axes.barh(middle, [row.estimate.value for row in rows], height=height * 0.9, color=colour, label=_short(model))
    for place, row in zip(middle, rows, strict=True):
        if row.estimate.low is not None and row.estimate.high is not None:
            axes.plot([row.estimate.low, row.estimate.high], [place, place], color="black", linewidth=1.2)


def _svg(figure: Figure, label: str) -> str:
    """The figure as an <svg> element named `label`: no XML header, no date, the same bytes for the same content."""
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None})
    drawn = text.getvalue()
    return f'<svg role="img" aria-label="{escape(label)}" {drawn[drawn.index("<svg") + len("<svg ") :]}'
