"""The edge of interleaving: the request log and events in, experiment-interleaving-<versions>.json and .html out."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from html import escape
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from feature_repo.core.workspace import Workspace, write_json
from feature_repo.dataset.request_log import read_request_log
from monitoring.drift_table import verdict_lines
from monitoring.experiments.interleaving.judge import judge
from monitoring.experiments.job import Asked, logged_impressions
from monitoring.experiments.page import STYLE, bullets, table
from monitoring.experiments.record import report_path

READ = ("request_id", "received_at", "model_version", "interleaved", "teams")
HEAD = ("won by the first", "won by the second", "ties", "credit a request", "interval")


def judge_interleaving(
    workspace: Workspace, second: str, asked: Asked, *, alpha: float, now: datetime
) -> Mapping[str, Any]:
    """Judge what was mixed with version `second` and write the report.

    Raises:
        MissingArtifact: nothing was served yet.
    """
    joined = logged_impressions(workspace, asked, now=now)
    report = judge(joined, read_request_log(workspace, READ), second, alpha=alpha, now=now)
    path = report_path(workspace, str(report["name"]))
    write_json(path, report)
    path.with_suffix(".html").write_text(page_of(report), encoding="utf-8")
    return report


def screen(report: Mapping[str, Any]) -> RenderableType:
    """What was found, then the verdict and its reasons."""
    found = Table(title=_title(report), title_justify="left")
    for heading in HEAD:
        found.add_column(heading, justify="right")
    for row in _rows(report):
        found.add_row(*row)
    shown = [found] if report["found"] else []
    return Group(*shown, Text(_sizes(report)), *verdict_lines(report, of=_title(report)))


def page_of(report: Mapping[str, Any]) -> str:
    """The whole page, without scripts, fonts or pictures from elsewhere."""
    title = escape(_title(report))
    found = table(HEAD, _rows(report)) if report["found"] else '<p class="soft">No figure is shown.</p>'
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{STYLE}</style></head><body><main><h1>{title}</h1>"
        f'<p class="verdict">{escape(report["verdict"])}</p>{bullets(report["reasons"])}'
        f"<h2>Clicks on mixed slates</h2>{found}"
        f'<p class="soft">{escape(_sizes(report))}. As of {escape(report["made_at"])}.</p></main></body></html>\n'
    )


def _title(report: Mapping[str, Any]) -> str:
    return f"Interleaving: version {', '.join(report['first']) or 'none'} with version {report['second']}"


def _sizes(report: Mapping[str, Any]) -> str:
    return (
        f"{report['requests']:,} mixed requests of {report['users']:,} users; "
        f"{report['requests_of_one_version_alone']:,} requests were answered by the first version alone; "
        f"{report['requests_whose_window_is_not_over']:,} are left out because their window is not over"
    )


def _rows(report: Mapping[str, Any]) -> list[Sequence[str]]:
    found = report["found"]
    if not found:
        return []
    won = (f"{found[name]:,}" for name in ("won_by_first", "won_by_second", "ties"))
    return [(*won, f"{found['credit']:+.4f}", f"{found['low']:+.4f} to {found['high']:+.4f}")]
