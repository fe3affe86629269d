"""`python -m monitoring index`: one page that leads to all reports of a release, and names those that are missing."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from monitoring.pages import render_page

PAGE = "index.html"


@dataclass(frozen=True)
class Report:
    """A report that a release has: the name of its files without ending, a pattern where there may be several."""

    name: str
    about: str
    made_by: str

    def holds(self, stem: str) -> bool:
        return fnmatchcase(stem, self.name)


# In the order in which a release comes by them.
REPORTS = (
    Report("data", "What was cleaned and what was refused", "make data"),
    Report("evaluation", "How good the recommendations are on held-out time", "make evaluate"),
    Report("fairness", "By group of users and of items, and over time", "python -m monitoring fairness"),
    Report("drift", "Whether what is recommended moved away from the reference", "make drift"),
    Report("skew", "Whether served features are what the stores say of that moment", "make skew"),
    Report("latency", "How fast the service answers", "python -m serving probe --version CHALLENGER"),
    Report("shadow", "The challenger beside the champion, unseen by users", "make canary"),
    Report("canary", "The rollout, step by step", "make canary"),
    Report(
        "rehearsal", "A rollout that decides nothing: with a fault, or of versions that are decided on", "make canary"
    ),
    Report("experiment-*", "A comparison with real users", "python -m monitoring experiment"),
    Report("offpolicy-*", "What another policy would have earned, from the log", "python -m monitoring experiment"),
    Report("promotion", "What was decided on the challenger, and why", "make promote"),
    Report("resources", "Time and memory of every step", "make demo"),
    Report("retention", "What was kept longer than it may be, and is gone", "python -m monitoring retain"),
    Report("popularity", "Popular items as they may be published", "python -m monitoring popularity"),
    Report("simulator", "The simulated world beside the real data", "python -m monitoring simulator-report"),
    Report("erase", "A person that was taken out of everything", "make erase USER=..."),
)
# What only exists when somebody asked for it is not missing where nobody did.
ON_REQUEST = frozenset(
    {
        "experiment-*",
        "offpolicy-*",
        "erase",
        "latency",
        "popularity",
        "rehearsal",
        "resources",
        "retention",
        "shadow",
        "simulator",
    }
)


@dataclass(frozen=True)
class Entry:
    """A line of the page. `verdict` is None where a report gives none; `made_at` where the report is not there."""

    name: str
    about: str
    made_by: str
    verdict: str | None
    versions: str
    made_at: datetime | None
    page: str | None
    data: str | None
    problem: str | None = None


def write_index(folder: Path, *, now: datetime) -> Path:
    """Write index.html beside the reports; links are relative, so the folder may be moved or served."""
    folder.mkdir(parents=True, exist_ok=True)
    entries = [entry for report in REPORTS for entry in _entries(folder, report)]
    known = {name for entry in entries for name in (entry.page, entry.data) if name} | {PAGE}
    others = sorted(path.name for path in folder.glob("[!.]*.*") if path.name not in known and path.is_file())
    page = render_page(
        "index.html",
        there=[entry for entry in entries if entry.made_at],
        missing=[entry for entry in entries if not entry.made_at and entry.name not in ON_REQUEST],
        others=others,
        made_at=now,
    )
    path = folder / PAGE
    partial = path.with_name(f".{PAGE}.partial")
    partial.write_text(page, encoding="utf-8")
    partial.replace(path)
    return path


def _entries(folder: Path, report: Report) -> Sequence[Entry]:
    stems = sorted({path.stem for path in folder.glob("[!.]*.*") if path.suffix in (".json", ".html")})
    chosen = [stem for stem in stems if report.holds(stem)]
    return [_entry(folder, report, stem) for stem in chosen] or [_absent(report)]


def _absent(report: Report) -> Entry:
    return Entry(report.name, report.about, report.made_by, None, "", None, None, None)


def _entry(folder: Path, report: Report, stem: str) -> Entry:
    files = {ending: folder / f"{stem}.{ending}" for ending in ("html", "json")}
    there = {ending: path.name for ending, path in files.items() if path.exists()}
    content, problem = _content(files["json"])
    return Entry(
        name=stem,
        about=report.about,
        made_by=report.made_by,
        verdict=_verdict(content),
        versions=_versions(content),
        made_at=_made_at(content, files[next(iter(there))]),
        page=there.get("html"),
        data=there.get("json"),
        problem=problem,
    )


def _content(path: Path) -> tuple[Mapping[str, Any], str | None]:
    if not path.exists():
        return {}, f"{path.name} is not there"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        content = None
    return (content, None) if isinstance(content, dict) else ({}, f"{path.name} cannot be read")


def _verdict(content: Mapping[str, Any]) -> str | None:
    found = content.get("verdict") or content.get("end_state")
    return str(found) if found else None


def _versions(content: Mapping[str, Any]) -> str:
    named = [(role, content.get(role)) for role in ("version", "champion", "challenger", "previous")]
    return ", ".join(f"{role} {number}" for role, number in named if number is not None)


def _made_at(content: Mapping[str, Any], path: Path) -> datetime:
    """The moment that the report names, else when its file was written."""
    try:
        found = datetime.fromisoformat(str(content["made_at"]))
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (KeyError, ValueError):
        return datetime.fromtimestamp(path.stat().st_mtime, UTC)
