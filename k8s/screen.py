"""What a rollout shows while it runs: a counting line, and a paragraph for each look."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from feature_repo.core.console import console
from k8s.conduct import StepRecord
from training.verdict import Verdict

_COLOURS = {Verdict.PASS: "green", Verdict.FAIL: "red", Verdict.INCONCLUSIVE: "yellow"}


class Screen:
    """Hears of a rollout's progress. Built by `on_screen`."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task = progress.add_task("starting both versions", requests="")
        self._sent = 0

    def say(self, doing: str) -> None:
        """Name what is under way now."""
        self._progress.update(self._task, description=doing)

    def sent(self, requests: int) -> None:
        """Count requests of the running step."""
        self._sent += requests
        self._progress.update(self._task, requests=f"{self._sent} requests")

    def looked(self, record: StepRecord) -> None:
        """Print what a look found."""
        verdict = record.assessment.verdict
        self._progress.console.print(
            f"weight {record.weight} %, look {record.looks}: {record.tally.requests} requests, "
            f"{record.tally.failed} failed, {record.seconds:.0f} s: [{_COLOURS[verdict]}]{verdict}[/]"
        )
        for reason in record.assessment.reasons:
            self._progress.console.print(f"  {escape(reason)}", style="dim")


@contextmanager
def on_screen() -> Iterator[Screen]:
    """Show progress while the block lasts."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TextColumn("{task.fields[requests]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        yield Screen(progress)


def summary(report: Mapping[str, Any]) -> Table:
    """The steps of a finished rollout as a table."""
    table = Table(title=f"canary: version {report['challenger']} against {report['champion']}: {report['end_state']}")
    for column in (
        "weight",
        "requests",
        "failed",
        "errors",
        "degraded",
        "p99 ms",
        "hit rate (replay)",
        "verdict",
    ):
        table.add_column(column, justify="right")
    for step in report["steps"]:
        pairs = [_pair(step, key) for key in ("errors", "degraded", "p99_ms")]
        rates = " / ".join(_told(step["hit_rate"][variant]) for variant in ("stable", "canary"))
        sent = (f"{step['weight']} %", str(step["requests"]), str(step["failed"]))
        table.add_row(*sent, *pairs, rates, step["verdict"])
    table.caption = "stable / canary; at weight 100 the stable's figures are those of the earlier steps"
    return table


def _pair(step: Mapping[str, Any], key: str) -> str:
    return " / ".join(_told(step[variant][key]) for variant in ("stable", "canary"))


def _told(value: float | None) -> str:
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.3g}"
