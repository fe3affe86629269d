"""How simulated people of a real workspace behave; every number has its unit."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

Spread = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class AudienceSettings(BaseModel):
    """Unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    base_click_rate: Annotated[float, Field(gt=0, lt=0.5)] = 0.05  # of an impression, over the slates it is fitted on
    conversion_rate: Annotated[float, Field(ge=0, le=1)] = 0.1  # of a click, where the log has a stronger event type
    slate: Annotated[int, Field(ge=1, le=100)] = 10  # places of the slates that the base rate is of
    examination_exponent: Spread = 0.5  # place j, counted from 1, is looked at with probability j ** -exponent
    dimension: Annotated[int, Field(ge=1, le=256)] = 16  # of the tastes fitted from the log
    taste_strength: Spread = 1.0  # standard deviation, in logits, of how well an item fits, over random pairs
    popularity_strength: Spread = 0.3  # standard deviation, in logits, of what all people find in an item
    user_spread: Spread = 0.5  # standard deviation, in logits, of how readily a user clicks: clicks come clustered
    hour_swing: Spread = 0.1  # largest swing over a day, in logits, highest at 20:00 UTC

    @model_validator(mode="after")
    def _reachable(self) -> "AudienceSettings":
        looked_at = sum(place**-self.examination_exponent for place in range(1, self.slate + 1)) / self.slate
        if self.base_click_rate > 0.9 * looked_at:
            raise ValueError(
                f"of the places of a slate {looked_at:.1%} are looked at, so base_click_rate can be at most "
                f"{0.9 * looked_at:.3f}; got {self.base_click_rate:g}"
            )
        return self
