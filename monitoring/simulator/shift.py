"""Drift on purpose: what changes, by how much, from which day."""

import re
from enum import StrEnum
from math import isfinite
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from feature_repo.core.errors import SettingsRefused


class Kind(StrEnum):
    COVARIATE = "covariate"
    TASTE = "taste"
    POPULARITY = "popularity"
    NEW_ITEMS = "new-items"
    BROKEN_COLUMN = "broken-column"
    LATE = "late"
    BOTS = "bots"


# What a size means in the event log. In `windows` it is standard deviations of the columns, whatever the kind.
UNITS = {
    Kind.COVARIATE: "standard deviations by which the mean age of those who visit rises",
    Kind.TASTE: "standard deviations by which every latent taste moves, for all users alike",
    Kind.POPULARITY: "standard deviations of the items' appeal, drawn anew and added",
    Kind.NEW_ITEMS: "new items of that day, as a share of the catalogue",
    Kind.BROKEN_COLUMN: "share of the purchases that come without their value",
    Kind.LATE: "share of the events that arrive one to three days late",
    Kind.BOTS: "events of bots, as a share of people's events",
}
SHARES = frozenset({Kind.BROKEN_COLUMN, Kind.LATE})
NOT_NEGATIVE = frozenset({Kind.NEW_ITEMS, Kind.BOTS, *SHARES})
_WRITTEN = re.compile(r"(?P<kind>[a-z-]+):(?P<size>[^@]+)@(?P<from_day>.+)")


class Shift(BaseModel):
    """One change that starts at `from_day` (days after the start of the log) and stays."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Kind
    size: float = Field(allow_inf_nan=False)  # in the unit that UNITS gives
    from_day: float = Field(default=0.0, allow_inf_nan=False)

    @model_validator(mode="after")
    def _within_its_unit(self) -> "Shift":
        if self.kind in NOT_NEGATIVE and self.size < 0:
            raise ValueError(f"the size of {self.kind} is {UNITS[self.kind]}, 0 or more; got {self.size:g}")
        return self

    @classmethod
    def parse(cls, text: str) -> "Shift":
        """Read KIND:SIZE@DAY, as in taste:0.5@20.

        Raises:
            SettingsRefused: the text is not of that form, or the size does not fit its unit.
        """
        found = _WRITTEN.fullmatch(text.strip())
        kinds = ", ".join(Kind)
        if not found or found["kind"] not in list(Kind):
            raise SettingsRefused(f"a shift is KIND:SIZE@DAY with a kind of {kinds}; got {text!r}")
        try:
            values: dict[str, Any] = {"size": float(found["size"]), "from_day": float(found["from_day"])}
        except ValueError:
            raise SettingsRefused(f"a shift is KIND:SIZE@DAY with numbers, as in taste:0.5@20; got {text!r}") from None
        refuse_size(Kind(found["kind"]), **values)
        return cls(kind=Kind(found["kind"]), **values)


def refuse_size(kind: Kind, size: float, from_day: float) -> None:
    """Refuse, in a sentence, a size that an event log cannot have, or a number that is none."""
    highest = 1.0 if kind in SHARES else 10.0
    lowest = 0.0 if kind in NOT_NEGATIVE else -highest
    if not (lowest <= size <= highest and isfinite(from_day)):
        raise SettingsRefused(
            f"the size of {kind} is {UNITS[kind]}, from {lowest:g} to {highest:g}; got {size:g} from day {from_day:g}"
        )
