"""Draws drift.json for a terminal: the furthest columns, what could not be compared, the verdict."""

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

SHOWN_COLUMNS = 8
UNITS = "in standard deviations of the reference"
SOURCES = {"log": "the request log", "window": "the newest events, replayed"}
VERDICT_STYLES = {"PASS": "green", "FAIL": "red", "INCONCLUSIVE": "yellow"}


def drift_table(report: Mapping[str, Any]) -> RenderableType:
    """Return the columns that matter most, then the verdict and its reasons; `report` is drift.json."""
    columns = sorted(report["columns"], key=_urgency, reverse=True)
    title = f"Drift against champion version {report['champion']} ({SOURCES[report['source']]})"
    table = Table(title=Text(title), title_justify="left", caption=Text(UNITS), caption_justify="left")
    table.add_column("column")
    for heading in ("shift", "quiet within", "distance", "quiet within"):
        table.add_column(heading, justify="right")
    table.add_column("finding")
    for column in columns[:SHOWN_COLUMNS]:
        table.add_row(*_cells(column))
    left_out = len(columns) - SHOWN_COLUMNS
    parts: list[RenderableType] = [table] if columns else []
    if left_out > 0:
        parts.append(Text(f"and {left_out} columns that are quieter"))
    return Group(*parts, *verdict_lines(report, of="Drift"))


def _urgency(column: Mapping[str, Any]) -> tuple[bool, float]:
    """Order what could not be compared before what is far away, and that before what is near."""
    return (column["finding"] is not None and not column["expected"], column["excess"])


def _cells(column: Mapping[str, Any]) -> tuple[Text, ...]:
    finding = column["finding"] or ("drifted" if column["drifted"] else "")
    style = "yellow" if column["finding"] else "red" if column["drifted"] else ""
    shift = "-" if column["shift"] is None else f"{column['shift']:+.2f}"
    limits = (_figure(column[name]) for name in ("shift_threshold", "distance", "distance_threshold"))
    return (*(Text(cell) for cell in (column["column"], shift, *limits)), Text(finding, style=style))


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def verdict_lines(report: Mapping[str, Any], *, of: str) -> tuple[Text, ...]:
    """Return the verdict of any report that has `verdict` and `reasons`, one line each."""
    verdict = str(report["verdict"])
    style = f"bold {VERDICT_STYLES.get(verdict, 'yellow')}"
    reasons = (Text(f"  {reason}") for reason in report["reasons"])
    return (Text.assemble(f"{of} verdict: ", (verdict, style)), *reasons)
