"""What a rollout shows while it runs: a counting line, and a paragraph for each look."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from feature_repo.core.console import console
from k8s.rollout.rollout import Rollout
from k8s.rollout.states import State
from training.verdict import Verdict

_COLOURS = {Verdict.PASS: "green", Verdict.FAIL: "red", Verdict.INCONCLUSIVE: "yellow"}

# The last measure of a step by who asked: its column, and what stands in it.
_COLUMN = {
    "simulated": ("clicks", "clicks an impression since the rollout began"),
    "replay": ("hits", "hits: share of slates with the item of their event"),
}


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

    def looked(self, rollout: Rollout, record: Mapping[str, Any]) -> None:
        """Print what a look found: all of it when it decides, one line with what is open when it does not."""
        verdict = Verdict(record["verdict"])
        at = f"weight {record['weight']} %" if record["weight"] else "shadow"
        line = (
            f"{at}, look {record['looks']}: {record['requests']} requests, {record['failed']} failed, "
            f"{record['seconds']:.0f} s: [{_COLOURS[verdict]}]{verdict}[/]{' (paused)' if rollout.paused_at else ''}"
        )
        if verdict is Verdict.INCONCLUSIVE:
            open_still = [reason for reason in record["reasons"] if reason.endswith(f"({Verdict.INCONCLUSIVE})")]
            names = dict.fromkeys(reason.split(":")[0] for reason in open_still)
            self._progress.console.print(f"{line}, open: {escape(', '.join(names))}")
            return
        self._progress.console.print(line)
        for reason in record["reasons"]:
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


def why(report: Mapping[str, Any]) -> list[str]:
    """The reasons of a bad end alone: what failed, or what was open to the last; all of them where there is neither."""
    deciding = {State.ROLLED_BACK: Verdict.FAIL, State.HALTED: Verdict.INCONCLUSIVE}.get(State(report["end_state"]))
    if deciding is None:
        return []
    reasons = [str(reason) for reason in report["reasons"]]
    return [reason for reason in reasons if reason.endswith(f"({deciding})")] or reasons


def summary(report: Mapping[str, Any]) -> Table:
    """The steps of a finished rollout as a table."""
    table = Table(title=f"canary: version {report['challenger']} against {report['champion']}: {report['end_state']}")
    rate, told = _COLUMN[report["users"]]
    for column in ("weight", "requests", "failed", "errors", "degraded", "p99 ms", rate, "verdict"):
        table.add_column(column, justify="right")
    for step in report["steps"]:
        pairs = [_pair(step, key) for key in ("errors", "degraded", "p99_ms")]
        sent = (f"{step['weight']} %", str(step["requests"]), str(step["failed"]))
        table.add_row(*sent, *pairs, _rates(step), step["verdict"])
    seen = f"stable / canary, since the step began; {told}"
    table.caption = seen if report["steps"] else "it ended before its first step: no user saw the canary"
    return table


def _rates(step: Mapping[str, Any]) -> str:
    clicks = step.get("quality", {}).get("clicks", {})
    if "canary" in clicks:
        return " / ".join(_share(clicks[variant]["rate"]) for variant in ("stable", "canary"))
    return " / ".join(_told(step["hit_rate"][variant]) for variant in ("stable", "canary"))


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.2%}"


def _pair(step: Mapping[str, Any], key: str) -> str:
    return " / ".join(_told(step[variant][key]) for variant in ("stable", "canary"))


def _told(value: float | None) -> str:
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.3g}"
