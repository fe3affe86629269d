"""What counts as skew, and how much of it blocks a promotion."""

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from feature_repo.core.errors import SettingsRefused


class SkewPolicy(BaseModel):
    """Limits. Unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    threshold: float = Field(default=0.01, gt=0, lt=1)  # share of requests whose value may be wrong, for each feature
    late_days: float = Field(default=7.0, gt=0)  # days that the stores may be behind in 99 of 100 requests
    about_now_hours: float = Field(default=24.0, gt=0)  # a request about a moment further off asks about another time
    minimum_requests: int = Field(default=300, ge=1)  # fewer can show no share below 1 %
    unknown_share: float = Field(default=0.05, ge=0, lt=1)  # of the requests, that may be left out unexpectedly
    requests: int = Field(default=2_000, ge=1)  # the newest ones, of which as many are compared
    confidence: float = Field(default=0.95, gt=0.5, lt=1)  # of each one-sided limit
    relative: float = Field(default=1e-5, ge=0)  # difference of two 32-bit numbers that is rounding
    absolute: float = Field(default=1e-6, ge=0)  # the same for numbers around 0


def policy_with(**given: float | None) -> SkewPolicy:
    """The policy with the limits that are given; None keeps the default.

    Raises:
        SettingsRefused: a limit is none.
    """
    try:
        return SkewPolicy(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        raise SettingsRefused(f"skew {first['loc'][0]}: {first['msg']}; got {first['input']!r}") from None
