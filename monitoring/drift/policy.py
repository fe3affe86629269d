"""What counts as drift: every number that decides, in one frozen value."""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from feature_repo.core.errors import SettingsRefused

Share = Annotated[float, Field(gt=0, lt=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]


class DriftPolicy(BaseModel):
    """Unknown keys are refused. Shifts are in standard deviations of the reference's rows."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    alarm_rate: Share = 0.004  # share of quiet windows that may be called drift, over all columns together
    smallest_shift: Positive = 0.1  # a shift of a mean below this is no alarm, however sure it is
    smallest_distance: Positive = 0.1  # the same for the normed Wasserstein distance
    widest_shift: Positive = 1.0  # quiet is no evidence where half of the columns could not have shown this shift
    minimum_rows: Count = 500  # rows a window needs
    minimum_requests: Count = 200  # requests a window needs
    minimum_users: Annotated[int, Field(ge=2)] = 10  # effective number of users a window needs
    sample_rows: Count = 200_000  # rows of each window that are judged; whole requests, by a hash with the seed
    evidently_rows: Count = 20_000  # rows of each window that Evidently draws
    seed: int = 20_240  # of samples and of the bootstrap
    draws: Annotated[int, Field(ge=100)] = 2_000  # of the bootstrap
    blocks: Count = 4_000  # (user, day) blocks that the bootstrap draws from, at most
    missing_rise: Share = 0.05  # rise of the share of missing values that is a finding
    new_category: Share = 0.01  # share of rows with a text that the reference never had, that is a finding
    rare_share: Share = 0.01  # flags with a rarer value are measured as if it had this share
    outlier_share: Share = 0.005  # rows of the reference that count as outliers, those with the rarest values
    log_days: Positive = 7.0  # the newest days of the request log that are judged
    flags: str = "*=*"  # columns that hold 0 or 1 for one value of an attribute
    ages: tuple[str, ...] = ("*_age_days",)  # grow by up to one a day while nothing drifts
    totals: tuple[str, ...] = ("*_events", "*_event_count", "*_amount_total")  # grow since the beginning
    calendar: tuple[str, ...] = ("hour*", "weekday*")  # judged where both windows hold whole weeks
    constant_by_design: frozenset[str] = frozenset()  # columns that may hold one value in both windows

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "DriftPolicy":
        """Build from settings; the first that breaks a rule is said in a sentence.

        Raises:
            SettingsRefused: a setting is unknown or out of range.
        """
        try:
            return cls(**values)
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(str(part) for part in first["loc"])
            raise SettingsRefused(f"drift policy, {name}: {first['msg']}; got {first['input']!r}") from None

    def is_flag(self, column: str) -> bool:
        return fnmatchcase(column, self.flags)

    def is_age(self, column: str) -> bool:
        return any(fnmatchcase(column, pattern) for pattern in self.ages)

    def is_total(self, column: str) -> bool:
        return any(fnmatchcase(column, pattern) for pattern in self.totals)

    def is_calendar(self, column: str) -> bool:
        return any(fnmatchcase(column, pattern) for pattern in self.calendar)

    def expects_constant(self, column: str) -> bool:
        """Tell whether one value in both windows is no alarm; a rare genre may be in neither."""
        return column in self.constant_by_design or self.is_flag(column)
