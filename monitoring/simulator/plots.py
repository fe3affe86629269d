"""Plots of the simulator's report, as SVG text."""

import io
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from monitoring.simulator.feedback import Loop
from monitoring.simulator.marginals import GRID, Marginals
from training.evaluation.plots import BLUE, GREY, STYLE, VERMILION, WIDTH

Array = np.ndarray[Any, Any]

LOOKS = ((GREY, "-", 2.6), (VERMILION, "--", 1.6), (BLUE, "-.", 1.6))
LINES = ((VERMILION, "--"), (BLUE, "-."), ("#009E73", "-"))  # of the ways through the loop
MEASURES = {
    "gini": ("Gini of exposure", "Gini of exposure: 0 all items alike, 1 one item takes all"),
    "bubble": (
        "filter bubble",
        "Filter bubble: cosine of the categories of a slate and of what its user clicked before",
    ),
    "new_share": ("share of new items", "Share of the places with an item of at most 14 days"),
    "click_rate": ("true click rate", "True click rate of an impression"),
}
_POINTS = 400  # of a curve, so that a page does not grow with the log


def marginal_plots(logs: Mapping[str, Marginals]) -> list[tuple[str, str]]:
    """Caption and SVG of each shape; `logs` by name, the real one first."""
    return [
        ("Events per user", _plot("multiples of the mean", "share of the users with more", logs, _per_user, log=True)),
        (
            "Popularity of items",
            _plot("share of the items, most popular first", "share of the events", logs, _popularity),
        ),
        ("Time between events of a user", _plot("seconds, from 1", "share that is longer", logs, _gaps, log=True)),
        ("Events per visit", _plot("events", "share of the visits with more", logs, _lengths, log=True)),
        ("Hour of the day", _plot("hour, UTC", "share of the events", logs, _hours)),
        ("Growth of the catalogue", _plot("share of the events so far", "share of the catalogue met", logs, _growth)),
    ]


def feedback_plots(loops: Sequence[Loop]) -> list[tuple[str, str]]:
    """Caption and SVG of each measure over the days, a line for each way to learn."""
    return [(caption, _over_days(label, loops, name)) for name, (label, caption) in MEASURES.items()]


def _per_user(log: Marginals) -> tuple[Array, Array]:
    return _tail(log.per_user / log.per_user.mean())


def _gaps(log: Marginals) -> tuple[Array, Array]:
    return _tail(np.maximum(log.gaps, 1.0))


def _lengths(log: Marginals) -> tuple[Array, Array]:
    return _tail(log.visit_lengths.astype(float))


def _popularity(log: Marginals) -> tuple[Array, Array]:
    return GRID, log.concentration


def _growth(log: Marginals) -> tuple[Array, Array]:
    return GRID, log.growth


def _hours(log: Marginals) -> tuple[Array, Array]:
    return np.arange(24), log.hours


def _tail(values: Array) -> tuple[Array, Array]:
    """Values, and the share above each, at most _POINTS of them."""
    if not len(values):
        return np.zeros(0), np.zeros(0)
    shares = np.linspace(0, 1, _POINTS, endpoint=False)
    return np.quantile(values, shares), 1 - shares


def _plot(x_label: str, y_label: str, logs: Mapping[str, Marginals], curve: Any, *, log: bool = False) -> str:
    with mpl.rc_context(STYLE):
        figure, axes = _figure()
        for (name, seen), (colour, line, width) in zip(logs.items(), LOOKS, strict=False):
            x, y = curve(seen)
            axes.plot(x, y, color=colour, linestyle=line, linewidth=width, label=name)
        if log:
            axes.set_xscale("log")
            # The usual labels of a logarithmic axis are formulae, which the page's fonts do not draw.
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
            axes.xaxis.set_minor_formatter(NullFormatter())
        return _finish(figure, axes, x_label, y_label)


def _over_days(label: str, loops: Sequence[Loop], measure: str) -> str:
    with mpl.rc_context(STYLE):
        figure, axes = _figure()
        for loop, (colour, line) in zip(loops, LINES, strict=True):
            values = getattr(loop, measure)
            axes.plot(loop.day, values, color=colour, linestyle=line, linewidth=1.8, label=loop.name)
        if measure == "new_share":
            there = loops[0].new_there
            axes.plot(loops[0].day, there, color=GREY, linewidth=1, label="their share of the catalogue")
        # Room above the lines for the legend.
        axes.set_ylim(0, 1.5 * axes.get_ylim()[1] if measure == "new_share" else None)
        return _finish(figure, axes, "day", label)


def _short(value: float) -> str:
    """0.01, 100, 10k, 1M."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def _figure() -> tuple[Figure, Axes]:
    figure = Figure(figsize=(WIDTH, 3.2), layout="constrained")
    axes = figure.subplots()
    axes.grid()
    return figure, axes


def _finish(figure: Figure, axes: Axes, x_label: str, y_label: str) -> str:
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.legend(frameon=False, fontsize=9)
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None})
    drawn = text.getvalue()
    label = f"{y_label} by {x_label}"
    return f'<svg role="img" aria-label="{escape(label)}" {drawn[drawn.index("<svg") + len("<svg ") :]}'
