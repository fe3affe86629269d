"""skew.html: the whole table for people, from skew.json alone; it loads nothing from elsewhere."""

from collections.abc import Mapping
from html import escape
from typing import Any

PAGE = "skew.html"
STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; color: #1a1a1a; }
table { border-collapse: collapse; width: 100%; margin: 1rem 0; }
th, td { padding: .3rem .6rem; text-align: right; border-bottom: 1px solid #ccc; }
th:first-child, th:nth-child(2), td:nth-child(2) { text-align: left; }
thead th { position: sticky; top: 0; background: #fff; }
.PASS { color: #0a6b2d; } .FAIL, .wrong { color: #a40000; } .INCONCLUSIVE, .doubt { color: #7a5b00; }
@media (prefers-color-scheme: dark) {
  body, thead th { background: #16181b; color: #e8e8e8; } th, td { border-color: #444; }
  .PASS { color: #7fd99a; } .FAIL, .wrong { color: #ff9a94; } .INCONCLUSIVE, .doubt { color: #e8c46a; }
}
"""
INTRODUCTION = (
    "Each value that was served is compared with what point-in-time retrieval gives for the request's moment. A value "
    "is late when it is what the same functions give for an older state, and wrong otherwise. Limits hold with 95 %."
)
HEADINGS = ("feature", "state of", "differing", "wrong", "limits", "late", "behind, median s", "behind, p99 s")


def page_of(report: Mapping[str, Any]) -> str:
    """The page as text."""
    verdict = escape(str(report["verdict"]))
    reasons = "".join(f"<li>{escape(reason)}</li>" for reason in report["reasons"])
    left_out = "".join(f"<li>{count:,} {escape(reason)}</li>" for reason, count in report["left_out"].items())
    sections = [
        f"<h1>Skew of version {escape(str(report['version']))}: <span class='{verdict}'>{verdict}</span></h1>",
        f"<ul>{reasons}</ul>",
        f"<p>{INTRODUCTION} {report['requests']:,} requests were compared; at most {report['threshold']:.1%} of them "
        f"may have a wrong value in any feature. Made {escape(str(report['made_at']))}.</p>",
        f"<h2>Left out</h2><ul>{left_out}</ul>" if left_out else "",
        _table(report) if report["features"] else "<p>No feature was compared.</p>",
        _outside(report),
    ]
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'><title>Skew</title>"
        "<meta name='viewport' content='width=device-width'>"
        f"<style>{STYLE}</style></head><body><main>{''.join(sections)}</main></body></html>"
    )


def _table(report: Mapping[str, Any]) -> str:
    features = sorted(report["features"], key=lambda f: (-f["wrong"]["share"], -f["differing"]["share"], f["feature"]))
    head = "".join(f"<th scope='col'>{heading}</th>" for heading in HEADINGS)
    rows = "".join(_row(feature, report["threshold"]) for feature in features)
    return f"<table><caption>Shares of requests</caption><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _row(feature: Mapping[str, Any], threshold: float) -> str:
    wrong = feature["wrong"]
    kind = "wrong" if wrong["low"] > threshold else "doubt" if wrong["count"] else ""
    cells = (
        escape(feature["side"]),
        f"{feature['differing']['share']:.2%}",
        f"<span class='{kind}'>{wrong['share']:.2%}</span>",
        f"{wrong['low']:.2%} to {wrong['high']:.2%}",
        f"{feature['late']['share']:.2%}",
        f"{feature['median_late_seconds']:,.0f}",
        f"{feature['p99_late_seconds']:,.0f}",
    )
    return f"<tr><th scope='row'>{escape(feature['feature'])}</th>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _outside(report: Mapping[str, Any]) -> str:
    names = ", ".join(escape(name) for name in report["not_compared"])
    said = "Not compared, since no store holds them: what retrieval scored and what the caller told"
    return f"<p>{said} ({names}).</p>" if names else ""
