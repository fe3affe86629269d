"""experiment-<name>.html: the decision record as one page without scripts, fonts or pictures from elsewhere."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from monitoring.experiments.forest import forest
from monitoring.experiments.metrics import METRICS

STYLE = """
:root { color-scheme: light dark; --ink: #1c2733; --soft: #55626f; --line: #d5dbe1; --paper: #fff; --mark: #1f6fb2; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8edf2; --soft: #a3b0bc; --line: #37424d; --paper: #14191f; --mark: #7db8e8; }
}
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 76rem; margin: 2rem auto; padding: 0 1rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .875rem; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .35rem .45rem; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
.words td, .told td:last-child { text-align: left; white-space: normal; }
.words th, .told th:last-child { text-align: left; }
h2 { margin: 2rem 0 .5rem; font-size: 1.2rem; }
.soft, li { color: var(--soft); }
.verdict { font-size: 2rem; font-weight: 700; margin: 0; }
svg { max-width: 100%; height: auto; }
svg text { font: 13px system-ui, sans-serif; fill: var(--ink); }
svg .soft { fill: var(--soft); }
svg line { stroke: var(--line); }
svg .interval { stroke: var(--mark); stroke-width: 2; }
svg circle { fill: var(--mark); }
"""
LOOKS = {
    "once": "Read once, at the end: before that the figures are withheld.",
    "any": "Intervals are always valid: they hold at every look, so the experiment may be watched and stopped.",
}


def page_of(report: Mapping[str, Any]) -> str:
    """The whole page, of experiment-<name>.json."""
    declared, title = report["declaration"], escape(f"Experiment {report['name']}")
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{STYLE}</style></head><body><main><h1>{title}</h1>"
        f"<p>{escape(report['hypothesis'])}</p>"
        f'<p class="verdict">{escape(report["verdict"])}</p>{bullets(report["reasons"])}'
        f"<h2>Decision</h2>{_decision(report['decision'])}"
        f"<h2>What was seen</h2>{_seen(report)}{_comparisons(report['comparisons'])}"
        f"<h2>What was declared</h2>{_declared(declared)}"
        f'<p class="soft">{escape(LOOKS[declared["looks"]])} Figures as of {escape(report["made_at"])}.</p>'
        "</main></body></html>\n"
    )


def bullets(lines: Sequence[str]) -> str:
    return f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>"


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, kind: str = "numbers") -> str:
    """A table whose cells are text; `kind` words sets them to the left and lets them wrap, told the last one."""
    top = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="scroll"><table class="{kind}"><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def _decision(decision: Mapping[str, Any] | None) -> str:
    if decision is None:
        return '<p class="soft">None is on record yet.</p>'
    words = f"{decision['choice']}, by {decision['by']} at {decision['at']}, on the verdict {decision['verdict']}"
    return f"<p><strong>{escape(words)}</strong>: {escape(decision['because'])}</p>"


def _seen(report: Mapping[str, Any]) -> str:
    seen, planned = report["seen"], report["plan"]["users"]
    rows = [
        (name, f"{users:,}", f"{planned[name]:,}", ", ".join(seen["versions"][name]) or "none")
        for name, users in seen["users"].items()
    ]
    notes = (
        f"{seen['users_in_several_variants']:,} users saw several variants and are left out; "
        f"{seen['requests_whose_window_is_not_over']:,} requests are left out because their window is not over; "
        f"{seen['requests_logged_again']:,} rows of the log were duplicates."
    )
    return table(("variant", "users", "planned", "model version"), rows) + f'<p class="soft">{escape(notes)}</p>'


def _comparisons(comparisons: Sequence[Mapping[str, Any]]) -> str:
    if not comparisons:
        return '<p class="soft">No figure is shown.</p>'
    several = len({c["treatment"] for c in comparisons}) > 1
    labels = [METRICS[c["metric"]].words + (f", {c['treatment']}" if several else "") for c in comparisons]
    intervals = [
        (label, c["lift"], c["lift_low"], c["lift_high"]) for label, c in zip(labels, comparisons, strict=True)
    ]
    head = ("metric", "role", "control", "treatment", "lift (interval)", "p", "adjusted p", "test")
    rows = [
        (
            label,
            c["role"] if c["margin"] is None else f"{c['role']}, margin {c['margin']:.1%}",
            f"{c['control_value']:.4g}",
            f"{c['treatment_value']:.4g}",
            f"{c['lift']:+.2%} ({c['lift_low']:+.2%} to {c['lift_high']:+.2%})",
            f"{c['p_value']:.2g}",
            "" if c["adjusted_p_value"] is None else f"{c['adjusted_p_value']:.2g}",
            c["test"],
        )
        for label, c in zip(labels, comparisons, strict=True)
    ]
    return forest("Lift over the control", intervals) + table(head, rows, kind="told")


def _declared(declared: Mapping[str, Any]) -> str:
    rows = [(name, _plain(value)) for name, value in declared.items() if name != "name"]
    return table(("field", "value"), rows, kind="words")


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_plain(part)}" for name, part in value.items())
    if isinstance(value, list):
        return "; ".join(_plain(part) for part in value) or "none"
    return str(value)
