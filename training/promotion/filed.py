"""Reports as they lie in the folder, and whether one may count as evidence at all."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from training.promotion.evidence import Absent

Value = TypeVar("Value")
# Clocks of two machines differ; a report from further ahead has a wrong one, and its age is not known.
CLOCKS = timedelta(minutes=10)


@dataclass(frozen=True)
class Filed:
    """A report that could be read. `made_at` is what it says, else when its file was written."""

    name: str
    content: Mapping[str, Any]
    made_at: datetime


@dataclass(frozen=True)
class Pair:
    """The versions that a promotion is about."""

    champion: str
    challenger: str


def read_report(folder: Path, name: str, *, made_by: str) -> Filed | Absent:
    """The report `name`.json, or why there is none."""
    path = folder / f"{name}.json"
    if not path.exists():
        return Absent(f"{path.name} is not there: run `{made_by}`")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise ValueError
        told = content.get("made_at")
        moment = datetime.fromisoformat(told) if told else datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except (OSError, ValueError, TypeError):
        return Absent(f"{path.name} cannot be read: run `{made_by}`")
    return Filed(path.name, content, moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def fresh(report: Filed | Absent, *, now: datetime, hours: float) -> Filed | Absent:
    """The report where it is not older than `hours`."""
    if isinstance(report, Absent):
        return report
    age = now - report.made_at
    if age > timedelta(hours=hours):
        days = age / timedelta(days=1)
        return Absent(f"{report.name} is {days:.1f} days old, at most {hours / 24:.1f} are allowed: make it anew")
    if age < -CLOCKS:
        return Absent(f"{report.name} was made in the future, at {report.made_at.isoformat()}: check the clocks")
    return report


def of_pair(report: Filed | Absent, pair: Pair) -> Filed | Absent:
    """The report where it compares exactly these two versions."""
    if isinstance(report, Absent):
        return report
    told = [str(report.content.get(name)) for name in ("champion", "challenger")]
    if told == [pair.champion, pair.challenger]:
        return report
    return Absent(
        f"{report.name} is about versions {told[0]} and {told[1]}, and not {pair.champion} and {pair.challenger}"
    )


def of_version(report: Filed | Absent, *versions: str) -> Filed | Absent:
    """The report where it is about one of `versions`, and about no other than these."""
    if isinstance(report, Absent):
        return report
    told = [str(report.content[name]) for name in ("version", "champion", "challenger") if report.content.get(name)]
    if told and set(told) <= set(versions):
        return report
    return Absent(f"{report.name} is about version {' and '.join(told) or 'nobody knows'}, and not {versions[0]}")


def read_as(report: Filed | Absent, parse: Callable[[Mapping[str, Any]], Value]) -> Value | Absent:
    """What `parse` finds in the report; a report of another make is no evidence."""
    if isinstance(report, Absent):
        return report
    try:
        return parse(report.content)
    except (LookupError, TypeError, ValueError, AttributeError):
        return Absent(f"{report.name} does not hold what this gate reads: make it anew")
