"""What a challenger must not do to a group of users, to less known items, or to the variety of what people see.

Every share is the four-fifths rule of the US Uniform Guidelines on Employee Selection Procedures (1978, section 4D):
a group that gets less than 80 % of what it should get is harmed.
"""

from pydantic import BaseModel, ConfigDict, Field


class FairnessPolicy(BaseModel):
    """Limits of the guardrails. A group is judged beside itself: challenger against champion, on the same requests."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    least_share: float = Field(
        0.8, gt=0, lt=1, description="of the champion's value that must be left: quality, exposure, diversity"
    )
    gini_rise: float = Field(0.05, gt=0, lt=1, description="largest rise of the Gini index of exposure")
    overlap_rise: float = Field(0.05, gt=0, lt=1, description="largest rise of the cosine of slate and own history")
    least_users: int = Field(50, ge=2, description="users of a group; smaller groups of one attribute are merged")
    numeric_groups: int = Field(4, ge=2, description="groups that a numeric attribute is cut into, at its quantiles")
    head_share: float = Field(0.2, gt=0, lt=1, description="share of the known items, by events, that are the head")
    new_days: float = Field(30, ge=0, description="days before the window in which a new item came up at the earliest")
    history_items: int = Field(200, ge=1, description="a user's latest items that slates are compared with")
    bins: int = Field(8, ge=2, description="parts of the window, of equal length, in the course over time")
    resamples: int = Field(1_000, ge=200, description="bootstrap resamples of the users")
    seed: int = Field(20_260, description="of the resamples")
