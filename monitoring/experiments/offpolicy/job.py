"""The edge of off-policy evaluation: the log and a target file in, offpolicy-<name>.json and .html out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from html import escape
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from feature_repo.core.errors import SettingsRefused
from feature_repo.core.workspace import Workspace, write_json
from monitoring.drift_table import verdict_lines
from monitoring.experiments.job import logged_impressions
from monitoring.experiments.offpolicy.judge import DECIDES, judge_target
from monitoring.experiments.offpolicy.support import OffPolicyPolicy
from monitoring.experiments.page import STYLE, bullets, table


@dataclass(frozen=True)
class Question:
    """What is asked of the log: which events count as clicks, for how long after a request."""

    window: timedelta
    rewarded: tuple[str, ...]


def evaluate_target(
    workspace: Workspace, path: Path, question: Question, policy: OffPolicyPolicy, *, now: datetime
) -> Mapping[str, Any]:
    """Judge the target in `path` and write the report.

    Raises:
        SettingsRefused: the file is no Parquet file.
        MissingArtifact: nothing was served yet.
    """
    try:
        target = pq.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        words = str(error).splitlines()[0]
        raise SettingsRefused(f"a target policy is a Parquet file; {path.name} cannot be read: {words}") from None
    joined = logged_impressions(workspace, question, now=now)
    report = judge_target(path.stem, joined, target, policy, now=now)
    written = workspace.reports / f"offpolicy-{path.stem}.json"
    write_json(written, report)
    written.with_suffix(".html").write_text(page_of(report), encoding="utf-8")
    return report


def screen(report: Mapping[str, Any]) -> RenderableType:
    """Every estimator, then the verdict and its reasons."""
    found = Table(title=f"Clicks a request under {report['name']}", title_justify="left")
    for heading in HEAD:
        found.add_column(heading, justify="left" if heading in ("estimator", "takes for granted") else "right")
    for row in _rows(report):
        found.add_row(*row)
    sizes = Text(f"{report['requests']:,} requests of {report['users']:,} users")
    return Group(*([found] if report["values"] else []), sizes, *verdict_lines(report, of=f"Target {report['name']}"))


def page_of(report: Mapping[str, Any]) -> str:
    """The whole page, without scripts, fonts or pictures from elsewhere."""
    title = escape(f"Off-policy: {report['name']}")
    values = table(HEAD, _rows(report), kind="told") if report["values"] else '<p class="soft">No figure is shown.</p>'
    note = (
        f"{report['requests']:,} requests of {report['users']:,} users; {DECIDES} decides; as of {report['made_at']}."
    )
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{STYLE}</style></head><body><main><h1>{title}</h1>"
        f'<p class="verdict">{escape(report["verdict"])}</p>{bullets(report["reasons"])}'
        f'<h2>Clicks a request</h2>{values}<p class="soft">{escape(note)}</p></main></body></html>\n'
    )


HEAD = ("estimator", "value", "interval", "effective requests", "takes for granted")


def _rows(report: Mapping[str, Any]) -> list[Sequence[str]]:
    if not report["values"]:
        return []
    served = {**report["served"], "estimator": "as served", "effective": report["requests"]}
    served |= {"takes_for_granted": "nothing: it was measured"}
    return [
        (
            str(value["estimator"]),
            f"{value['value']:.4f}",
            f"{value['low']:.4f} to {value['high']:.4f}",
            f"{value['effective']:,.0f}",
            str(value["takes_for_granted"]),
        )
        for value in (served, *report["values"])
    ]
