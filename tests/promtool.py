"""Debian's promtool for tests, and the names of metrics in an expression."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from monitoring.dashboards.boards import BOARDS

needs_prometheus = pytest.mark.skipif(
    shutil.which("promtool") is None or shutil.which("prometheus") is None,
    reason="needs Debian's prometheus, which .ci/run installs",
)
RULES = Path(__file__).parents[1] / "monitoring" / "dashboards" / "rules.yaml"
_BESIDE_NAMES = (
    r'"[^"]*"|\'[^\']*\'',  # texts
    r"\{[^}]*\}",  # matchers
    r"\[[^\]]*\]",  # ranges
    r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)",  # labels
    r"\b(?:and|or|unless|bool|offset|by|on|group_left)\b",
)


def promtool(*arguments: str, stdin: str | None = None) -> str:
    """What promtool printed; its complaint fails the test."""
    run = subprocess.run(["promtool", *arguments], input=stdin, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def metrics_in(expression: str) -> set[str]:
    """Every name that is no function, no word of the language and no label."""
    for beside in _BESIDE_NAMES:
        expression = re.sub(beside, " ", expression)
    return set(re.findall(r"\b[a-zA-Z_:][\w:]*\b(?!\s*\()", expression))


def board_expressions() -> list[str]:
    return [query.expr for board in BOARDS for panel in board.panels for query in panel.queries]
