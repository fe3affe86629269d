"""The rules that take items away before retrieval, as the rules file states them."""

from typing import Literal

from pydantic import Field

from serving.filters.when import RuleModel, When
from serving.filters.which import Which

Name = Field(min_length=1, max_length=100)


class Exclusion(Which):
    """Items that are not recommended, always or at some hours."""

    name: str = Name
    when: When | None = None


class Unavailable(RuleModel):
    """Items whose attribute says that nobody can have them. An item without a value is available."""

    name: str = Name
    attribute: str
    values: tuple[str, ...] = Field(min_length=1)


class AgeLimit(RuleModel):
    """Items for people of at least the age in `attribute` (years). An item without a value has no limit.

    `context` is the field of the request that holds the age. Where a request has none, or none that is a number,
    every item with a limit above `unknown_age` is hidden.
    """

    name: str = Name
    attribute: str
    context: str = "age"
    unknown_age: float = Field(default=0, ge=0)


class RegionRule(RuleModel):
    """Items that may be shown only in the regions of `attribute`, or never in them. Without a value: everywhere.

    `context` is the field of the request that holds the region. Where a request has none, items that have a rule of
    this kind are hidden, unless `unknown_region` is "show".
    """

    name: str = Name
    attribute: str
    context: str = "region"
    means: Literal["only", "never"] = "only"
    unknown_region: Literal["hide", "show"] = "hide"


class FilterRules(RuleModel):
    """Rules about what items are and where a request comes from."""

    unavailable: tuple[Unavailable, ...] = ()
    age_limits: tuple[AgeLimit, ...] = ()
    regions: tuple[RegionRule, ...] = ()
