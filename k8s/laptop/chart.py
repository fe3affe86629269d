"""Small bar charts as inline SVG."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

BAR, GAP, FLOOR, TALLEST = 34, 18, 130, 105


@dataclass(frozen=True)
class Bar:
    """One value of a named series; None where there was no evidence."""

    series: str
    value: float | None


def bar_chart(caption: str, groups: Sequence[Sequence[Bar]]) -> str:
    """Bars in groups, one group for each step. `caption` names the measure and its unit."""
    highest = max((bar.value or 0.0 for group in groups for bar in group), default=0.0) or 1.0
    drawn, left = [], 10
    for group in groups:
        for bar in group:
            drawn.append(_drawn(bar, left, highest))
            left += BAR
        left += GAP
    names = dict.fromkeys(bar.series for group in groups for bar in group)
    return (
        f"<figure><figcaption>{escape(caption)}</figcaption>"
        f'<svg role="img" aria-label="{escape(caption)} by step" width="{max(left, 180)}" height="160">'
        f"{''.join(drawn)}{_legend(names)}</svg></figure>"
    )


def _drawn(bar: Bar, left: int, highest: float) -> str:
    height = TALLEST * (bar.value or 0.0) / highest
    told = "none" if bar.value is None else f"{bar.value:.3g}"
    box = f'x="{left}" y="{FLOOR - height:.1f}" width="{BAR - 4}" height="{height:.1f}"'
    return (
        f'<rect class="{bar.series}" {box}><title>{bar.series}: {told}</title></rect>'
        f'<text x="{left + BAR // 2 - 2}" y="{FLOOR - 5 - height:.1f}" text-anchor="middle">{told}</text>'
    )


def _legend(names: Mapping[str, None]) -> str:
    marks = " ".join(f'<tspan class="{name}">&#9632;</tspan> {name}' for name in names)
    return f'<text x="10" y="152">{marks}</text>'
