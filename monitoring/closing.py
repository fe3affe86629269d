"""The closing table of the demo, from the reports alone: a missing or damaged one is a line, never green."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from json import dumps
from shlex import quote
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from monitoring.closing_operations import canary_part, drift_part, latency_part, resources_part
from monitoring.closing_quality import data_part, evaluation_part, promotion_part

Report = Mapping[str, Any]


@dataclass(frozen=True)
class Reports:
    """What was found in the folder of reports. `damaged` names those that are there and cannot be read."""

    found: Mapping[str, Report]
    damaged: frozenset[str]
    folder: str
    files: tuple[str, ...]


@dataclass(frozen=True)
class Part:
    """One report's place in the closing table."""

    report: str
    made_by: str
    draw: Callable[[Report], tuple[RenderableType, ...]]


PARTS = (
    Part("data", "make data", data_part),
    Part("evaluation", "make evaluate", evaluation_part),
    Part("promotion", "make promote", promotion_part),
    Part("latency", "make demo", latency_part),
    Part("canary", "make canary", canary_part),
    Part("drift", "make drift", drift_part),
    Part("resources", "make demo", resources_part),
)


def closing_lines(reports: Reports) -> tuple[RenderableType, ...]:
    """Return all that the demo says at its end, in order; a blank line parts one report from the next."""
    lines: list[RenderableType] = []
    for part in PARTS:
        lines += [*_part_lines(part, reports), Text("")]
    return (*lines, *_places(reports), *_curl_lines(reports))


def _part_lines(part: Part, reports: Reports) -> tuple[RenderableType, ...]:
    if part.report in reports.damaged:
        return (_absent(part, "cannot be read"),)
    if part.report not in reports.found:
        return (_absent(part, "is not there"),)
    try:
        return part.draw(reports.found[part.report])
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError):
        # A report of another version of this code, or one edited by hand.
        return (_absent(part, "does not hold what this table shows"),)


def _absent(part: Part, what: str) -> Text:
    return Text(f"{part.report}.json {what}: run `{part.made_by}`", style="yellow")


def _places(reports: Reports) -> tuple[RenderableType, ...]:
    files = ", ".join(reports.files) or "none yet"
    return (Text(f"Reports in {reports.folder}/: {files}"),)


def _curl_lines(reports: Reports) -> tuple[RenderableType, ...]:
    """A request that a person can paste: a real user of the held-out window, at the window's start."""
    evaluation = reports.found.get("evaluation", {})
    try:
        moment = _iso(evaluation["window"]["start"])
        body = {"user_id": str(evaluation["example_user"]), "k": 5, "context": {"timestamp": moment}}
    except (LookupError, TypeError, ValueError):
        return (Text("A request to try needs evaluation.json: run `make evaluate`", style="yellow"),)
    header = "content-type: application/json"
    return (
        Text("While `make serve` runs, this asks for a slate:"),
        Text(f"curl -s localhost:3000/recommend -H {quote(header)} -d {quote(dumps(body))}"),
    )


def _iso(moment: str) -> str:
    """Write a moment as the service expects it, with its zone; our tables are in UTC where none is named."""
    parsed = datetime.fromisoformat(moment)
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).isoformat()
