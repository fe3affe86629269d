"""HTML pages that need nothing else: templates of this stage, every text escaped by Jinja."""

import re
from itertools import count
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup


def render_page(template: str, **values: Any) -> str:
    """The page of `templates/<template>`."""
    pages = Environment(
        loader=PackageLoader("monitoring"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    drawn = count(1)
    pages.filters |= {"number": number, "interval": interval, "drawn": lambda svg: with_own_ids(svg, next(drawn))}
    return pages.get_template(template).render(**values)


def number(value: float | None) -> str:
    """Four places."""
    return "not measured" if value is None else f"{value:.4f}"


def interval(row: dict[str, float | None]) -> str:
    """`value (low to high)`, the limits left out where there are none."""
    if row["low"] is None or row["high"] is None:
        return number(row["value"])
    return f"{number(row['value'])} ({number(row['low'])} to {number(row['high'])})"


def with_own_ids(svg: str, number: int) -> Markup:
    """A plot of matplotlib whose ids are no other plot's: it numbers them anew in every figure."""
    return Markup(re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>plot{number}-", svg))
