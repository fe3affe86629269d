"""The closing table's part on operations: the latency probe, the rollout's steps, drift, time and memory."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from monitoring.drift_table import VERDICT_STYLES, verdict_lines

# The bounds that this platform promises on two cores; a figure is always shown beside its bound.
P50_BOUND_MS = 10.0
READY_RATIO_BOUND = 1.5
SECONDS_BOUND = 360.0
PEAK_BOUND_MB = 3000.0

ASKERS = {"simulated": "simulated people", "replay": "replayed events, whose clicks no slate led to"}
END_STATE_STYLES = {"PROMOTED": "green", "ROLLED_BACK": "red", "HALTED": "yellow"}


def latency_part(latency: Mapping[str, Any]) -> tuple[RenderableType, ...]:
    """The probe's percentiles, and how long the service took to be ready beside its bare imports."""
    ranked = f"{_number(latency['candidates'], 0)} candidates each"
    probe = f"Latency of {latency['requests']:,} real requests, {ranked}"
    p50 = _bounded(latency["p50_ms"], P50_BOUND_MS, "ms", digits=2)
    ready, imports = _number(latency["ready_seconds"], 1), _number(latency["import_seconds"], 1)
    ratio = _bounded(latency["ready_ratio"], READY_RATIO_BOUND, digits=2)
    degraded = latency.get("degraded")
    # A degraded answer is a cheap one: its latency is not the one promised.
    caveat = Text(f", {degraded:,} of them degraded", style="red") if degraded else Text("")
    return (
        Text.assemble(f"{probe}: p50 ", p50, f", p99 {_number(latency['p99_ms'], 1)} ms", caveat),
        Text.assemble(f"Service ready in {ready} s, bare imports {imports} s: ratio ", ratio),
    )


def _bounded(value: float | None, bound: float, unit: str = "", *, digits: int = 0) -> Text:
    """Write a figure with its bound; what was not measured does not hold, and neither does NaN."""
    if value is None:
        return Text("not measured", style="yellow")
    holds = value <= bound
    unit = f" {unit}" if unit else ""
    text = f"{value:,.{digits}f}{unit} (bound {bound:,g}{unit}: {'holds' if holds else 'does not hold'})"
    return Text(text, style="green" if holds else "red")


def canary_part(canary: Mapping[str, Any]) -> tuple[RenderableType, ...]:
    """The rollout's steps, stable beside canary, and how it ended."""
    who = ASKERS.get(str(canary["users"]), str(canary["users"]))
    table = Table(title=Text(f"Rollout, asked by {who}, stable / canary"), title_justify="left")
    table.add_column("canary weight", justify="right")
    for heading in ("requests", "errors", "degraded", "p99 ms", "clicks an impression"):
        table.add_column(heading, justify="right")
    table.add_column("verdict")
    for step in canary["steps"]:
        table.add_row(*_step_cells(step))
    end = str(canary["end_state"])
    pair = f"Rollout of version {canary['challenger']} over {canary['champion']} ended as "
    ended = Text.assemble(pair, (end, f"bold {END_STATE_STYLES.get(end, 'yellow')}"))
    return (table, ended, *(Text(f"  {reason}") for reason in _reasons(canary)))


def _reasons(canary: Mapping[str, Any]) -> Sequence[str]:
    """Return the rollout's own reasons for its end, or else those of its last step."""
    last: Sequence[str] = canary["steps"][-1]["reasons"] if canary["steps"] else ["no step was run"]
    return canary.get("reasons") or last


def _step_cells(step: Mapping[str, Any]) -> tuple[Text, ...]:
    stable, canary = step["stable"], step["canary"]
    pairs = [(stable[key], canary[key]) for key in ("requests", "errors", "degraded")]
    counts = [f"{_count(left)} / {_count(right)}" for left, right in pairs]
    p99 = f"{_number(stable['p99_ms'], 1)} / {_number(canary['p99_ms'], 1)}"
    clicks = f"{_click_rate(step, 'stable')} / {_click_rate(step, 'canary')}"
    verdict = str(step["verdict"])
    plain = (f"{step['weight']} %", *counts, p99, clicks)
    return (*(Text(cell) for cell in plain), Text(verdict, style=VERDICT_STYLES.get(verdict, "yellow")))


def _click_rate(step: Mapping[str, Any], variant: str) -> str:
    return _number(step.get("quality", {}).get("clicks", {}).get(variant, {}).get("rate"), 4)


def _count(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def drift_part(drift: Mapping[str, Any]) -> tuple[RenderableType, ...]:
    """The drift verdict with its reasons; the columns stand in drift.html."""
    rows = f"{drift['current_rows']:,} rows against {drift['reference_rows']:,} of the reference"
    return (
        Text(f"Drift since champion version {drift['champion']}: {rows}."),
        *verdict_lines(drift, of="Drift"),
    )


def resources_part(resources: Mapping[str, Any]) -> tuple[RenderableType, ...]:
    """Total time and the largest process, over the last run of each step."""
    steps: Mapping[str, Mapping[str, Any]] = resources["steps"]
    largest = max(steps, key=lambda name: steps[name]["peak_rss_mb"])
    longest = max(steps, key=lambda name: steps[name]["seconds"])
    time = _bounded(sum(step["seconds"] for step in steps.values()), SECONDS_BOUND, "s")
    peak = _bounded(steps[largest]["peak_rss_mb"], PEAK_BOUND_MB, "MB")
    failed = {name: step["exit_status"] for name, step in steps.items() if step.get("exit_status")}
    return (
        Text.assemble(f"Time of {len(steps)} steps: ", time, f", longest {longest}"),
        Text.assemble("Largest process: ", peak, f", in {largest}"),
        *(Text(f"Step {name} ended with status {status}", style="red") for name, status in failed.items()),
    )
