"""Reads the reports of a workspace and prints the closing table."""

import json
from os.path import relpath
from pathlib import Path

from rich.console import Console
from rich.text import Text

from monitoring.closing import PARTS, Report, Reports, closing_lines


def read_reports(folder: Path) -> Reports:
    """Read what is there of the reports; what is not, or is no JSON object, is left to the table to say."""
    found: dict[str, Report] = {}
    damaged: set[str] = set()
    for name in (part.report for part in PARTS):
        try:
            value = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            continue
        except (OSError, ValueError):
            value = None
        if isinstance(value, dict):
            found[name] = value
        else:
            damaged.add(name)
    return Reports(found=found, damaged=frozenset(damaged), folder=relpath(folder), files=_files(folder))


def _files(folder: Path) -> tuple[str, ...]:
    """Name the reports that a person can open."""
    if not folder.is_dir():
        return ()
    names = (path.name for path in folder.iterdir() if path.suffix in {".json", ".html"})
    return tuple(sorted(name for name in names if not name.startswith(".")))


def print_summary(folder: Path, console: Console) -> None:
    for line in closing_lines(read_reports(folder)):
        # A sentence is left unbroken, so that a person can copy the request and a terminal wraps as it likes.
        console.print(line, soft_wrap=isinstance(line, Text))
