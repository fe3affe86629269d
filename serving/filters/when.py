"""When a rule holds: hours and weekdays of a stated time zone (dayparting)."""

import re
from datetime import date, datetime, timedelta
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WEEKDAYS: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MINUTES_A_DAY = 24 * 60


class RuleModel(BaseModel):
    """A part of the rules file: frozen, and a field that it does not have is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def _minute(value: Any) -> Any:
    """Minutes since midnight of a text like 18:30; 24:00 is the end of a day."""
    if isinstance(value, int):
        return value
    found = re.fullmatch(r"(\d{1,2}):(\d\d)", str(value))
    minute = int(found[1]) * 60 + int(found[2]) if found and int(found[2]) < 60 else -1
    if not 0 <= minute <= MINUTES_A_DAY:
        raise ValueError("a time of day must read hours:minutes, from 00:00 to 24:00")
    return minute


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError("a zone must be a name of the IANA database, as in Europe/Berlin") from None
    return name


Minute = Annotated[int, BeforeValidator(_minute)]


class When(RuleModel):
    """A window of local time. One that ends before it starts runs over midnight and belongs to the day it starts on.

    Wall-clock time counts: an hour that a change of clocks repeats belongs to the window both times.
    """

    zone: Annotated[str, AfterValidator(_zone)]
    weekdays: tuple[Weekday, ...] = Field(default=WEEKDAYS, min_length=1)
    start: Minute = Field(default=0, alias="from")
    until: Minute = MINUTES_A_DAY
    first_day: date | None = None
    last_day: date | None = None

    @model_validator(mode="after")
    def _has_minutes(self) -> "When":
        if self.start == self.until:
            raise ValueError("a window must not start and end at the same minute")
        if self.first_day and self.last_day and self.first_day > self.last_day:
            raise ValueError("first_day must not be after last_day")
        return self

    def holds(self, now: datetime) -> bool:
        """Whether `now`, a moment with a zone, is in the window."""
        local = now.astimezone(ZoneInfo(self.zone))
        minute, day = local.hour * 60 + local.minute, local.date()
        if self.start < self.until:
            inside = self.start <= minute < self.until
        else:
            inside = minute >= self.start or minute < self.until
            if minute < self.until:
                day -= timedelta(days=1)
        return inside and WEEKDAYS[day.weekday()] in self.weekdays and self._in_season(day)

    def _in_season(self, day: date) -> bool:
        return (self.first_day is None or self.first_day <= day) and (self.last_day is None or day <= self.last_day)
