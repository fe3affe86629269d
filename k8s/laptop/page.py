"""canary.html: the report of a rollout as one page without scripts, fonts or pictures from elsewhere."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from k8s.laptop.chart import Bar, bar_chart

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2733; --soft: #5b6875; --line: #d5dbe1; --paper: #fff;
  --stable: #5b7083; --canary: #d9822b; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8edf2; --soft: #9aa7b4; --line: #37424d; --paper: #14191f; --stable: #8fa6bb; }
}
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .35rem .6rem; white-space: nowrap;
  border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; }
figure { display: inline-block; margin: 0 1.5rem 1.5rem 0; }
figcaption { font-weight: 600; }
.soft, li { color: var(--soft); }
.state { font-size: 2rem; font-weight: 700; margin: 0; }
svg text { font: 12px system-ui, sans-serif; fill: var(--soft); }
svg .stable { fill: var(--stable); }
svg .canary { fill: var(--canary); }
"""
_COLUMNS = ("weight", "variant", "verdict", "requests", "errors", "degraded", "p50 ms", "p99 ms")
_NOTES = {
    "simulated": "Simulated people asked and clicked. Requests, errors and latencies are those of each step, clicks "
    "those of the whole rollout so far, weighted by step and clustered by user.",
    "replay": "Judged on operations only. Replay hits: share of slates with the item of their event. A replayed click "
    "happened without the slate, so the share is shown and not judged.",
}


def page_of(report: Mapping[str, Any], shadow: Mapping[str, Any] | None = None) -> str:
    """The whole page."""
    title = escape(f"Canary of version {report['challenger']} against {report['champion']}")
    reasons = "".join(f"<li>{escape(reason)}</li>" for reason in report["reasons"])
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style></head><body><main><h1>{title}</h1>"
        f'{_rehearsal(report)}<p class="state">{escape(report["end_state"])}</p><ul>{reasons}</ul>'
        f"{_steps(report)}{_shadow(shadow)}{_history(report)}"
        "</main></body></html>\n"
    )


def _steps(report: Mapping[str, Any]) -> str:
    if not report["steps"]:
        return "<p>It ended before its first step: no user saw the canary.</p>"
    note = f'<p class="soft">{_NOTES[report["users"]]}{_sticky(report)}</p>'
    return f"{_charts(report['steps'])}{_table(report)}{note}{_lists(report)}"


def _rehearsal(report: Mapping[str, Any]) -> str:
    why = report.get("rehearsal")
    return f"<p>A rehearsal, which no promotion is decided on: {escape(why)}.</p>" if why else ""


def _sticky(report: Mapping[str, Any]) -> str:
    share = report["sticky_share"]
    return "" if share is None else f" {share:.0%} of requests came with their user's bucket and stayed on one variant."


def _lists(report: Mapping[str, Any]) -> str:
    lists = next((found for step in reversed(report["steps"]) if (found := step.get("quality", {}).get("lists"))), None)
    if lists is None:
        return ""
    told = "; ".join(
        f"{variant} {lists[variant]['coverage']:,} items, {lists[variant]['novelty']:.1f} bits of novelty"
        for variant in ("stable", "canary")
    )
    return (
        f'<p class="soft">In the last step, over {lists["canary"]["slates"]:,} slates of each: {told}. Not judged.</p>'
    )


def _shadow(shadow: Mapping[str, Any] | None) -> str:
    if shadow is None:
        return ""
    reasons = "".join(f"<li>{escape(reason)}</li>" for reason in shadow["reasons"])
    return f"<h2>Shadow: {escape(shadow['verdict'])}</h2><ul>{reasons}</ul>"


def _history(report: Mapping[str, Any]) -> str:
    moves = "".join(
        f"<li>{escape(move['at'][:19])} UTC: {escape(move['event'])}, so {escape(move['state'])}</li>"
        for move in report["history"]
    )
    return f"<h2>History</h2><ol>{moves}</ol>"


def _charts(steps: Sequence[Mapping[str, Any]]) -> str:
    weights = [[Bar("canary", float(step["weight"]))] for step in steps]
    errors = [[Bar(variant, _error_percent(step[variant])) for variant in ("stable", "canary")] for step in steps]
    p99s = [[Bar(variant, step[variant]["p99_ms"]) for variant in ("stable", "canary")] for step in steps]
    return (
        bar_chart("Weight of the canary, %", weights)
        + bar_chart("Failed requests, %", errors)
        + bar_chart("p99 latency, ms", p99s)
    )


def _error_percent(seen: Mapping[str, Any]) -> float | None:
    return 100 * seen["errors"] / seen["requests"] if seen["requests"] else None


def _table(report: Mapping[str, Any]) -> str:
    simulated = report["users"] == "simulated"
    columns = (*_COLUMNS, "clicks an impression" if simulated else "replay hits")
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    rows = "".join(_row(step, variant, simulated) for step in report["steps"] for variant in ("stable", "canary"))
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def _row(step: Mapping[str, Any], variant: str, simulated: bool) -> str:
    seen = step[variant]
    cells = (
        f"{step['weight']} %",
        variant,
        step["verdict"] if variant == "canary" else "",
        *(_told(seen[key]) for key in ("requests", "errors", "degraded", "p50_ms", "p99_ms")),
        _clicks(step, variant) if simulated else _told(step["hit_rate"][variant]),
    )
    return "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"


def _clicks(step: Mapping[str, Any], variant: str) -> str:
    seen = step.get("quality", {}).get("clicks", {}).get(variant)
    return "none" if seen is None or seen["rate"] is None else f"{seen['rate']:.2%} of {seen['impressions']:,}"


def _told(value: float | None) -> str:
    if value is None:
        return "none"
    return str(value) if isinstance(value, int) else f"{value:.3g}"
