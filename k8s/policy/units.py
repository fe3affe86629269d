"""Numbers with their unit, as a policy's file writes them: "0.5 %", "25 ms", "30 min", "1.5 x".

A bare number is refused: 0.5 may be meant as half a percent or as one half, and nobody sees which.
"""

import math
import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer

_FORM = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?(?:[eE]-?[0-9]+)?)\s*([a-z%]+)\s*")
SHARE = {"%": 0.01}
MILLISECONDS = {"ms": 1.0, "s": 1000.0}
SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86_400.0}
RATIO = {"x": 1.0}


def measured(value: Any, units: Mapping[str, float], *, example: str) -> float:
    """The number in the first unit of `units`' scale; a number that was read before passes unchanged.

    Raises:
        ValueError: no unit, another unit, or no finite number.
    """
    found = _FORM.fullmatch(value) if isinstance(value, str) else None
    if found is None or found[2] not in units:
        known = ", ".join(units)
        raise ValueError(f"expected a number with its unit ({known}), like {example!r}")
    number = float(found[1]) * units[found[2]]
    if not math.isfinite(number):
        raise ValueError(f"expected a finite number, like {example!r}")
    return number


def _share(value: Any) -> float:
    share = measured(value, SHARE, example="0.5 %")
    if share > 1:
        raise ValueError("expected at most 100 %")
    return share


def _positive_share(value: Any) -> float:
    if (share := _share(value)) <= 0 or share >= 1:
        raise ValueError("expected more than 0 % and less than 100 %")
    return share


def _milliseconds(value: Any) -> float:
    return measured(value, MILLISECONDS, example="25 ms")


def _seconds(value: Any) -> float:
    return measured(value, SECONDS, example="30 min")


def _ratio(value: Any) -> float:
    if (ratio := measured(value, RATIO, example="1.5 x")) < 1:
        raise ValueError("expected a ratio of at least 1 x")
    return ratio


# 0 % to 100 %, held as a share from 0 to 1.
Share = Annotated[float, BeforeValidator(_share), PlainSerializer(lambda share: f"{100 * share:.12g} %")]
# Above 0 % and below 100 %, held as a share.
Margin = Annotated[float, BeforeValidator(_positive_share), PlainSerializer(lambda share: f"{100 * share:.12g} %")]
Milliseconds = Annotated[float, BeforeValidator(_milliseconds), PlainSerializer(lambda value: f"{value:.12g} ms")]
Seconds = Annotated[float, BeforeValidator(_seconds), PlainSerializer(lambda value: f"{value:.12g} s")]
# One thing in times of another, from 1 on.
Ratio = Annotated[float, BeforeValidator(_ratio), PlainSerializer(lambda value: f"{value:.12g} x")]
