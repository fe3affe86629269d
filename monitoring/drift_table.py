"""Draws drift.json for a terminal: the furthest columns, what could not be compared, the verdict."""

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

SHOWN_COLUMNS = 8
VERDICT_STYLES = {"PASS": "green", "FAIL": "red", "INCONCLUSIVE": "yellow"}


def drift_table(report: Mapping[str, Any]) -> RenderableType:
    """Return the columns that matter most, then the verdict and its reasons; `report` is drift.json."""
    columns = sorted(report["columns"], key=_urgency, reverse=True)
    table = Table(title=Text(f"Drift against champion version {report['champion']}"), title_justify="left")
    for heading in ("column", "method"):
        table.add_column(heading)
    for heading in ("distance", "threshold"):
        table.add_column(heading, justify="right")
    table.add_column("finding")
    for column in columns[:SHOWN_COLUMNS]:
        table.add_row(*_cells(column))
    left_out = len(columns) - SHOWN_COLUMNS
    parts: list[RenderableType] = [table] if columns else []
    if left_out > 0:
        parts.append(Text(f"and {left_out} columns with smaller distances"))
    return Group(*parts, *verdict_lines(report, of="Drift"))


def _urgency(column: Mapping[str, Any]) -> tuple[bool, float]:
    """Order what could not be compared before what is far away, and that before what is near."""
    unclear = column["finding"] is not None and not column["expected"]
    return (unclear, (column["statistic"] or 0.0) / column["threshold"])


def _cells(column: Mapping[str, Any]) -> tuple[Text, ...]:
    distance = "-" if column["statistic"] is None else f"{column['statistic']:.3f}"
    finding = column["finding"] or ("drifted" if column["drifted"] else "")
    style = "yellow" if column["finding"] else "red" if column["drifted"] else ""
    plain = (column["column"], column["method"], distance, f"{column['threshold']:g}")
    return (*(Text(cell) for cell in plain), Text(finding, style=style))


def verdict_lines(report: Mapping[str, Any], *, of: str) -> tuple[Text, ...]:
    """Return the verdict of any report that has `verdict` and `reasons`, one line each."""
    verdict = str(report["verdict"])
    style = f"bold {VERDICT_STYLES.get(verdict, 'yellow')}"
    reasons = (Text(f"  {reason}") for reason in report["reasons"])
    return (Text.assemble(f"{of} verdict: ", (verdict, style)), *reasons)
