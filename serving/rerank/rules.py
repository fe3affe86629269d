"""The rules file: what an operator may state about slates, as validated values.

Every rule has a name, which notes and the audit log use. A rule with `when` holds at those hours only.
"""

from collections.abc import Iterator
from itertools import chain
from typing import Any, Literal

from pydantic import Field, model_validator

from serving.filters.rules import Exclusion, FilterRules, Name
from serving.filters.when import RuleModel, When
from serving.filters.which import Which

MAX_PLACE = 100


class Pin(RuleModel):
    """An item at a place (from 1), if it is among the candidates and keeps the caps."""

    name: str = Name
    item: str = Field(min_length=1)
    place: int = Field(ge=1, le=MAX_PLACE)
    when: When | None = None


class Boost(Which):
    """Adds `by` to the relevance of items; 1 is the distance between the worst and the best candidate of a request."""

    name: str = Name
    by: float = Field(ge=-10, le=10)
    when: When | None = None


class Cap(RuleModel):
    """At most `at_most` items of a slate share a value of `attribute`. Items without a value are not counted."""

    name: str = Name
    attribute: str = Field(min_length=1)
    at_most: int = Field(ge=1)
    when: When | None = None


class Exposure(Which):
    """At least the share `at_least` of every prefix of the slate, rounded down, is of a group of items.

    Groups by popularity (the long tail) and age (new items; one without any event is new) beside ids and attributes.
    """

    name: str = Name
    newer_than_days: float | None = Field(default=None, gt=0)
    popularity_at_most: float | None = Field(default=None, ge=0)
    at_least: float = Field(gt=0, le=1)
    when: When | None = None

    def _conditions(self) -> bool:
        return super()._conditions() or self.newer_than_days is not None or self.popularity_at_most is not None


class Diversity(RuleModel):
    """MMR or DPP. `relevance` is the weight of relevance: 1 orders by it alone, 0 by difference alone."""

    method: Literal["none", "mmr", "dpp"] = "none"
    relevance: float = Field(default=0.7, ge=0, le=1)


class Exploration(RuleModel):
    """New items at some places of some slates.

    Each of `places` is given to a new item with probability `rate`, the epsilon of epsilon-greedy; `method` says to
    which: one drawn evenly, the one of highest upper confidence bound, or one drawn as Thompson sampling would.
    """

    method: Literal["none", "epsilon-greedy", "ucb", "thompson"] = "none"
    rate: float = Field(default=0.1, gt=0, le=1)
    places: tuple[int, ...] = (5, 10)
    newer_than_days: float = Field(default=30, gt=0)  # since the first event; one without any event is new
    until_impressions: int = Field(default=1_000, ge=1, le=10_000)  # an item shown so often is new no longer
    pool: int = Field(default=10, ge=1, le=50)  # new items that compete for one place, the most relevant ones
    width: float = Field(default=1.0, gt=0)  # of UCB's bound: mean + width * sqrt(2 ln N / n)
    # Thompson's prior, Beta(clicks, passes): Jeffreys' by default.
    prior_clicks: float = Field(default=0.5, ge=0.5)
    prior_passes: float = Field(default=0.5, ge=0.5)

    @model_validator(mode="after")
    def _places_are_places(self) -> "Exploration":
        if len(set(self.places)) != len(self.places) or not all(1 <= p <= MAX_PLACE for p in self.places):
            raise ValueError(f"places must be different whole numbers from 1 to {MAX_PLACE}")
        return self


class Rules(RuleModel):
    """The whole file. An empty one changes nothing."""

    diversity: Diversity = Diversity()
    caps: tuple[Cap, ...] = ()
    pins: tuple[Pin, ...] = ()
    boosts: tuple[Boost, ...] = ()
    exclusions: tuple[Exclusion, ...] = ()
    exposure: tuple[Exposure, ...] = ()
    exploration: Exploration = Exploration()
    filters: FilterRules = FilterRules()

    @model_validator(mode="after")
    def _fit_together(self) -> "Rules":
        names = [str(rule.name) for rule in self.named()]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"each rule must have a name of its own, and {twice[0]!r} comes twice")
        always = [pin.place for pin in self.pins if pin.when is None]
        if len(set(always)) != len(always):
            raise ValueError("a place must not have two pins that always hold")
        return self

    def named(self) -> Iterator[Any]:
        """Every rule that has a name."""
        filters = self.filters
        yield from chain(self.caps, self.pins, self.boosts, self.exclusions, self.exposure)
        yield from chain(filters.unavailable, filters.age_limits, filters.regions)
