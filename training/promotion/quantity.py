"""Numbers of a policy with their units: a margin of 5 may be per cent, milliseconds or days; a bare one is refused."""

import math
import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator

_WRITTEN = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([^\s0-9.].*?)\s*")


def _quantity(units: Mapping[str, float], *, most: float = math.inf) -> BeforeValidator:
    """A validator of texts like "5 %"; the value is in the unit whose factor is 1."""

    def parse(value: Any) -> float:
        matched = _WRITTEN.fullmatch(value) if isinstance(value, str) else None
        if matched is None or matched[2] not in units:
            raise ValueError(f"expected a number with its unit, {' or '.join(units)}")
        number = float(matched[1]) * units[matched[2]]
        if number > most:
            raise ValueError(f"expected at most {most:g}, in {next(unit for unit, one in units.items() if one == 1)}")
        return number

    return BeforeValidator(parse)


# Of the champion's value; 0.05 is "5 %".
Share = Annotated[float, _quantity({"%": 0.01, "share": 1.0}, most=1.0)]
# Of a ranking metric between 0 and 1, like NDCG@10.
Points = Annotated[float, _quantity({"points": 1.0}, most=1.0)]
Milliseconds = Annotated[float, _quantity({"ms": 1.0, "s": 1_000.0})]
Hours = Annotated[float, _quantity({"h": 1.0, "hours": 1.0, "days": 24.0, "day": 24.0})]
