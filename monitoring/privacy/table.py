"""What the commands on privacy say."""

from collections.abc import Mapping
from typing import Any

SHOWN = 5


def retention_lines(report: Mapping[str, Any]) -> tuple[str, ...]:
    """What was removed from where, and what is to be done now."""
    words = "would be removed" if report["dry_run"] else "removed"
    totals = ", ".join(f"{rows:,} of {store}" for store, rows in report["removed"].items()) or "nothing"
    again = [f"Went on from the run of {run}." for run in report["went_on_from"]]
    return (*again, f"Older than {report['before']}, {words}: {totals}.", *(f"  {line}" for line in report["to_do"]))


def popularity_lines(report: Mapping[str, Any]) -> tuple[str, ...]:
    """The most popular items as published, what that cost, and how exact it is."""
    first = ", ".join(f"{item['item_id']} {item['people']:,}" for item in report["items"][:SHOWN])
    budget = report["budget"]
    return (
        f"Published {len(report['items']):,} items with epsilon {report['epsilon']:g}; 95 % of the counts are within "
        f"{report['within_95']:.0f}. First: {first}.",
        f"Left of the budget of epsilon {budget['epsilon']:g} in {budget['days']:g} days: {budget['left']:g}.",
    )
