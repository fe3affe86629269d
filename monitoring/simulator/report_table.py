"""The simulator's report as tables on screen."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table


def distance_table(report: Mapping[str, Any]) -> Table:
    """A row for each shape of the log, a column for each simulated one."""
    table = Table(f"distance from {report['dataset']}, 0 to 1", *report["distances"])
    for shape in next(iter(report["distances"].values())):
        table.add_row(shape, *(f"{apart[shape]:.2f}" for apart in report["distances"].values()))
    return table


def feedback_table(report: Mapping[str, Any]) -> Table:
    """A row for each way through the feedback loop."""
    table = Table(
        "learned from own slates", "Gini of exposure", "filter bubble", "share of new items", "true click rate"
    )
    for loop in report["feedback"]:
        ending = loop["last_quarter"]
        measures = (ending[name] for name in ("gini", "bubble", "new_share", "click_rate"))
        table.add_row(loop["name"], *(f"{value:.4f}" for value in measures))
    return table
