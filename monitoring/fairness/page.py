"""fairness.html: the verdict first, then for whom, for which items, and how it goes on over time."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from monitoring.fairness.measures import DIVERSITY, OVERLAP, QUALITY, SHARES
from monitoring.pages import render_page

Row = Mapping[str, Any]


def render(report: Mapping[str, Any]) -> str:
    """The whole page from what fairness.json holds."""
    # matplotlib takes a second to load, and only pages need it.
    from training.evaluation import plots

    attributes = list(dict.fromkeys(row["attribute"] for row in report["groups"]))
    groups = [(name, _bars(report, _group_rows(report, name), "users", QUALITY)) for name in attributes]
    courses = [(name, _course(report, name)) for name in (OVERLAP, DIVERSITY)]
    return render_page(
        "fairness.html",
        report={"requests": 0, "users": 0, **report},
        groups=groups,
        exposure=_bars(report, _exposure_rows(report), "items", "share of all places") if report["lorenz"] else None,
        lorenz=plots.lines(_lorenz(report)) if report["lorenz"] else None,
        courses=[(name, plot) for name, plot in courses if plot],
    )


def _group_rows(report: Mapping[str, Any], attribute: str) -> list[Row]:
    sizes = report["sizes"][attribute]
    chosen = (row for row in report["groups"] if (row["attribute"], row["measure"]) == (attribute, QUALITY))
    return [{**row, "requests": sizes[row["group"]][0], "users": sizes[row["group"]][1]} for row in chosen]


def _exposure_rows(report: Mapping[str, Any]) -> list[Row]:
    names = {measure: group for group, measure in SHARES.items()}
    size = {"requests": report["requests"], "users": report["users"]}
    return [{**row, "group": names[row["measure"]], **size} for row in report["whole"] if row["measure"] in names]


def _bars(report: Mapping[str, Any], rows: Sequence[Row], of: Literal["users", "items"], metric: str) -> str:
    """Both versions in every group, with their intervals."""
    from training.evaluation import plots
    from training.evaluation.page_content import Estimate, Evaluation, ModelRow, SegmentRow

    versions = [f"version {version}" for version in _versions(report)]
    estimates = [Estimate(**{name: row[name] for name in ("value", "low", "high")}) for row in rows]
    segments = [
        SegmentRow(
            of=of,
            segment=row["group"],
            model=f"version {row['version']}",
            requests=row["requests"],
            users=row["users"],
            estimate=estimate,
        )
        for row, estimate in zip(rows, estimates, strict=True)
    ]
    content = Evaluation(
        name="groups",
        protocol=[],
        requests=report["requests"],
        users=report["users"],
        metric=metric,
        model=versions[0],
        reference=versions[-1],
        reference_is="the champion",
        models=[ModelRow(name=name, metrics={metric: Estimate(value=0.0)}) for name in versions],
        segments=segments,
    )
    return plots.segments(content, of)


def _versions(report: Mapping[str, Any]) -> list[str]:
    """The challenger first, so that it has one colour in every plot."""
    return [version for version in (report["challenger"], report["champion"]) if version]


def _course(report: Mapping[str, Any], measure: str) -> str | None:
    """A measure in the parts of the window, over days since its start."""
    from training.evaluation import plots
    from training.evaluation.page_content import Chart, Line

    rows = [row for row in report["over_time"] if row["measure"] == measure and row["value"] is not None]
    if not rows:
        return None
    first = min(datetime.fromisoformat(row["attribute"]) for row in rows)
    lines = []
    for version in _versions(report):
        own = [row for row in rows if row["version"] == version]
        days = [(datetime.fromisoformat(row["attribute"]) - first).total_seconds() / 86_400 for row in own]
        lines.append(Line(name=f"version {version}", x=days, y=[row["value"] for row in own]))
    title = f"{measure} over time"
    chart = Chart(title=title, x_label="days since the window's start", y_label=measure, lines=lines)
    return plots.lines(chart)


def _lorenz(report: Mapping[str, Any]) -> Any:
    from training.evaluation.page_content import Chart, Line

    axes = {version: report["lorenz"][version] for version in _versions(report)}
    lines = [Line(name=f"version {version}", x=x, y=y) for version, (x, y) in axes.items()]
    even = Line(name="all alike", x=[0, 1], y=[0, 1])
    return Chart(
        title="How evenly items are shown",
        x_label="share of the catalogue",
        y_label="share of all places",
        lines=[*lines, even],
    )
