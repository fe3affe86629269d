"""What a simulated world is made of; every number has its unit."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from monitoring.simulator.shift import Shift

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Spread = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class SimulatorSettings(BaseModel):
    """Unknown keys are refused. Days are counted from `start`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    start: datetime = datetime(2024, 1, 1, tzinfo=UTC)  # day 0, a Monday
    days: Positive = 60.0  # length of the log
    events: Count = 100_000  # events of people in the log
    users: Count = 4_000
    items: Annotated[int, Field(ge=2)] = 1_500
    categories: Count = 12
    brands: Count = 60
    dimension: Annotated[int, Field(ge=1, le=256)] = 8  # of the latent tastes

    base_click_rate: Annotated[float, Field(gt=0, lt=0.5)] = 0.05  # of an impression in a random slate of random people
    slate: Annotated[int, Field(ge=1, le=100)] = 10  # places
    examination_exponent: Spread = 0.5  # place j, counted from 1, is looked at with probability j ** -exponent
    taste_strength: Spread = 1.0  # standard deviation, in logits, of how well items fit a user
    quality_spread: Spread = 0.5  # standard deviation, in logits, of what all users find in an item
    price_strength: Spread = 0.3  # standard deviation, in logits, of how much price matters
    trend_strength: Spread = 0.3  # largest swing of an item's appeal, in logits
    trend_days: Positive = 45.0  # mean length of a swing
    novelty: Spread = 0.4  # extra appeal of an item on its first day, in logits
    novelty_days: Positive = 10.0  # until that has fallen to 1/e

    new_users: Share = 0.4  # of the users, that come after day 0
    new_items: Share = 0.3  # of the items, that come after day 0
    activity_spread: Spread = 1.0  # standard deviation of log sessions a day between users
    popularity_exponent: Spread = 0.8  # of Zipf's law, by which items are found without a slate
    purchase_rate: Share = 0.12  # of the views
    hide_rate: Share = 0.01  # of the views
    consent: Share = 1.0  # of the users
    organic: Share = 0.4  # of the steps, that are a view without a slate: found by search, or by a link
    repeat: Share = 0.15  # of the views without a slate, that return to the item before
    steps: Annotated[float, Field(ge=1, le=1000)] = 5.0  # mean steps of a visit: a slate to look at, or a view without
    steps_shape: Positive = 0.8  # of the negative binomial steps after the first; smaller is more uneven
    day_noise: Spread = 0.08  # standard deviation of the log of a day's visits
    gap_seconds: Positive = 45.0  # median between two events of a visit
    gap_spread: Spread = 1.1  # standard deviation of the log of that gap

    shifts: tuple[Shift, ...] = ()

    @model_validator(mode="after")
    def _reachable(self) -> "SimulatorSettings":
        looked_at = sum(place**-self.examination_exponent for place in range(1, self.slate + 1)) / self.slate
        if self.base_click_rate > 0.9 * looked_at:
            raise ValueError(
                f"of the places of a slate {looked_at:.1%} are looked at, so base_click_rate can be at most "
                f"{0.9 * looked_at:.3f}; got {self.base_click_rate:g}"
            )
        return self
