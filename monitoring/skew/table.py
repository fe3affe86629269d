"""Draws skew.json for a terminal: the features that differ most, how late the stores were, the verdict."""

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from monitoring.drift_table import verdict_lines

SHOWN = 12


def skew_table(report: Mapping[str, Any]) -> RenderableType:
    """The features that differ in most requests, wrong values first, then lateness, verdict and reasons."""
    features = sorted(report["features"], key=lambda f: (-f["wrong"]["share"], -f["differing"]["share"], f["feature"]))
    title = f"Skew of version {report['version']}: {report['requests']:,} requests against point-in-time retrieval"
    table = Table(title=Text(title), title_justify="left")
    table.add_column("feature")
    table.add_column("state of")
    for heading in ("differing", "wrong [limits]", "late", "behind: median", "p99"):
        table.add_column(heading, justify="right")
    for feature in features[:SHOWN]:
        table.add_row(*_cells(feature, report["threshold"]))
    parts: list[RenderableType] = [table] if features else []
    if len(features) > SHOWN:
        most = features[SHOWN]["differing"]["share"]
        parts.append(Text(f"and {len(features) - SHOWN} features that differ in at most {most:.2%} of the requests"))
    parts += [Text(line) for line in (*_left_out(report), *_lateness(report))]
    return Group(*parts, *verdict_lines(report, of="Skew"))


def _cells(feature: Mapping[str, Any], threshold: float) -> tuple[Text, ...]:
    wrong = feature["wrong"]
    style = "red" if wrong["low"] > threshold else "yellow" if wrong["count"] else ""
    limits = f"{wrong['share']:.2%} [{wrong['low']:.2%}, {wrong['high']:.2%}]"
    late = (_duration(feature[f"{name}_late_seconds"]) for name in ("median", "p99"))
    return (
        Text(feature["feature"]),
        Text(feature["side"]),
        Text(f"{feature['differing']['share']:.2%}"),
        Text(limits, style=style),
        Text(f"{feature['late']['share']:.2%}"),
        *(Text(text) for text in late),
    )


def _left_out(report: Mapping[str, Any]) -> tuple[str, ...]:
    named = ", ".join(f"{count:,} {reason}" for reason, count in report["left_out"].items())
    return (f"Left out: {named}.",) if named else ()


def _lateness(report: Mapping[str, Any]) -> tuple[str, ...]:
    words = {"user_rows": "User rows", "item_tables": "Item tables"}
    return tuple(
        f"{words[name]} were behind in {found['late_requests']:,} requests, there by "
        f"{_duration(found['median_seconds_of_late'])} (median)."
        for name, found in report["lateness"].items()
        if found["late_requests"]
    )


def _duration(seconds: float) -> str:
    for unit, size in (("days", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:,.1f} {unit}"
    return f"{seconds:.3g} s" if seconds else "0"
