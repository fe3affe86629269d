"""What `make data` says of a data set: rows read, kept and refused by each rule, in one order everywhere."""

import re
from collections.abc import Mapping
from typing import Any

Report = Mapping[str, Any]


def lines_of(report: Report) -> list[tuple[str, int, float]]:
    """(what, rows, share of the rows read): all that were read, kept, and quarantined, then each rule by its rows."""
    read = int(report["read"])
    rules = sorted(report["refused"].items(), key=lambda rule: (-rule[1], rule[0]))
    counts = [("read", read), ("kept", int(report["events"])), ("quarantined", _quarantined(report)), *rules]
    return [(what, rows, rows / read) for what, rows in counts]


def share(part: float) -> str:
    """A share in percent; what is not nothing is never shown as 0."""
    return "under 0.01 %" if 0 < part < 0.0001 else f"{part:.2%}".replace("%", " %")


def metrics_of(report: Report) -> dict[str, float]:
    """The same figures as metrics of a training run: data_read, data_kept, data_quarantined, data_refused_<rule>."""
    refused = {f"data_refused_{re.sub('[^a-z0-9]+', '_', rule.lower())}": n for rule, n in report["refused"].items()}
    totals = {"data_read": report["read"], "data_kept": report["events"], "data_quarantined": _quarantined(report)}
    return {name: float(value) for name, value in (totals | refused).items()}


def markdown_of(report: Report) -> str:
    """The table as text that a person reads beside a trained version."""
    cells = [f"| {what} | {rows:,} | {share(part)} |" for what, rows, part in lines_of(report)]
    about = (
        f"{report['users']:,} users and {report['items']:,} items; {report['received']:,} of the rows read arrived "
        f"over HTTP. Fingerprint `{report['fingerprint']}`."
    )
    table = ["| rows | number | share |", "|---|---|---|", *cells]
    return "\n".join([f"# Data of {report['dataset']}", "", about, "", *table, "", *left_out(report)]).rstrip() + "\n"


def left_out(report: Report) -> list[str]:
    """A sentence for each reason why rows of the users and items tables were not taken."""
    return [
        f"{name}: {count:,} rows left out, {reason}."
        for name, refused in report["refused_entities"].items()
        for reason, count in refused.items()
    ]


def _quarantined(report: Report) -> int:
    return sum(int(rows) for rows in report["refused"].values())
