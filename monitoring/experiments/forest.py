"""Estimates with their intervals as inline SVG, one line each, around zero."""

from collections.abc import Callable, Sequence
from html import escape

WIDTH, LABEL, LINE, EDGE = 900, 330, 30, 20


def forest(caption: str, intervals: Sequence[tuple[str, float, float, float]]) -> str:
    """Rows of (label, value, low, high), shares of one, as percent."""
    ends = [end for _, _, low, high in intervals for end in (low, high)]
    least, most = min([*ends, 0.0]), max([*ends, 0.0])
    span = (most - least) or 1.0
    height = LINE * len(intervals) + 40

    def across(value: float) -> float:
        return LABEL + (value - least) / span * (WIDTH - LABEL - EDGE)

    drawn = "".join(_row(place, row, across) for place, row in enumerate(intervals))
    zero = f'<line x1="{across(0):.1f}" x2="{across(0):.1f}" y1="0" y2="{height - 28}"/>'
    scale = "".join(
        f'<text class="soft" x="{across(at):.1f}" y="{height - 10}" text-anchor="{anchor}">{at:+.1%}</text>'
        for at, anchor in ((least, "start"), (most, "end"))
    )
    return (
        f"<figure><figcaption>{escape(caption)}</figcaption>"
        f'<svg role="img" aria-label="{escape(caption)}" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
        f'height="{height}">{zero}{drawn}{scale}</svg></figure>'
    )


def _row(place: int, row: tuple[str, float, float, float], across: Callable[[float], float]) -> str:
    label, value, low, high = row
    y = LINE * place + LINE / 2
    told = f"{value:+.2%} ({low:+.2%} to {high:+.2%})"
    return (
        f'<text x="0" y="{y + 4:.0f}">{escape(label)}</text>'
        f'<line class="interval" x1="{across(low):.1f}" x2="{across(high):.1f}" y1="{y:.0f}" y2="{y:.0f}">'
        f"<title>{told}</title></line>"
        f'<circle cx="{across(value):.1f}" cy="{y:.0f}" r="4"><title>{told}</title></circle>'
    )
