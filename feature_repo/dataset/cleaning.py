"""The `cleaning:` section of dataset.yaml: every limit that the door knows, with a default that spares real people.

`null` switches a rule off. A limit is about one event, one user or one item; what the platform cannot hold (an
amount beyond a million millions, a moment outside 1970 to now) is refused whatever stands here.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

# State tables count amounts in thousandths as 64-bit numbers: this leaves room to add up millions of them.
LARGEST_VALUE = 1e12

Value = Annotated[float, Field(ge=-LARGEST_VALUE, le=LARGEST_VALUE, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]


class Cleaning(BaseModel):
    """Limits. Unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id_characters: Annotated[int, Field(ge=1, le=10_000)] = 512  # longest id; the service takes as many
    value_from: Value | None = -1e9  # smallest value of an event
    value_to: Value | None = 1e9  # largest value of an event
    moments_a_minute: Count | None = 300  # a user's moments in one minute; events of one moment count once
    session_hours: Annotated[float, Field(gt=0)] | None = 24  # of a user's events without a pause of 30 minutes
    catalogue_share: Annotated[float, Field(gt=0, le=1)] | None = 0.8  # of all items, that one user may have met
    catalogue_items: Count = 1_000  # items that a user may have met in any case, however small the catalogue
    user_events: Count | None = None  # fewest events of a user, together with item_events until both hold
    item_events: Count | None = None  # fewest events of an item
    consent_required: bool = False  # refuse events that do not say whether the user agreed, besides those that say no

    @model_validator(mode="after")
    def _ordered(self) -> "Cleaning":
        low, high = self.value_range
        if low > high:
            raise ValueError(f"value_from must not be above value_to; got {low:g} and {high:g}")
        return self

    @property
    def value_range(self) -> tuple[float, float]:
        """Smallest and largest value that is let in."""
        low = -LARGEST_VALUE if self.value_from is None else self.value_from
        high = LARGEST_VALUE if self.value_to is None else self.value_to
        return low, high
