"""An experiment as a person declares it, in a small YAML file, before anybody looks at its numbers."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from feature_repo.core.errors import SettingsRefused
from monitoring.experiments.metrics import METRICS

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
Share = Annotated[float, Field(gt=0, lt=1)]


class _Declared(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Measured(_Declared):
    """A metric and which way is better."""

    metric: str  # a name of METRICS
    better: Literal["higher", "lower"] = "higher"

    @model_validator(mode="after")
    def _known(self) -> "Measured":
        if self.metric not in METRICS:
            raise ValueError(f"a metric is one of {', '.join(METRICS)}; got {self.metric!r}")
        return self


class Primary(Measured):
    """The metric that decides."""

    minimum_effect: float = Field(gt=0, lt=1)  # smallest lift worth finding, as a share of the control's value
    mean: float = Field(gt=0)  # of the metric, before the experiment
    standard_deviation: float = Field(gt=0)  # of one user's value, for a ratio of its linearised value


class Guardrail(Measured):
    """A metric that may not get worse by more than a margin."""

    margin: float = Field(gt=0, lt=1)  # as a share of the control's value


class Experiment(_Declared):
    """The whole declaration."""

    name: Name
    hypothesis: str = Field(min_length=1)
    layer: Name  # experiments of one layer share its users out; those of two layers do not know of each other
    traffic: tuple[int, int] = (0, 100)  # the layer's hundredths that take part, from and up to, the last one not
    variants: dict[Name, Share] = Field(min_length=2)  # shares of the users who take part
    control: Name
    starts: AwareDatetime
    ends: AwareDatetime
    rewarded: tuple[str, ...] = Field(min_length=1)  # event types that count as clicks
    attribution_window_hours: float = Field(24, gt=0)  # how long after its request an event still counts
    primary: Primary
    guardrails: tuple[Guardrail, ...] = ()
    secondary: tuple[Measured, ...] = ()  # reported with Benjamini and Hochberg's correction; they decide nothing
    alpha: float = Field(0.05, gt=0, lt=0.5)  # chance of a false alarm, two-sided
    power: float = Field(0.8, gt=0.5, lt=1)  # chance to find the minimum effect
    looks: Literal["once", "any"] = "once"  # any: always-valid intervals, read as often as one likes
    covariate_days: float = Field(0, ge=0)  # days before the start whose behaviour CUPED takes out
    strata: int = Field(0, ge=0, le=20)  # groups of users by their impressions before the start; 0 for none

    @model_validator(mode="after")
    def _fits(self) -> "Experiment":
        first, last = self.traffic
        rules = (
            (abs(sum(self.variants.values()) - 1) < 1e-9, f"shares of variants sum to 1; got {self.variants}"),
            (self.control in self.variants, f"the control is one of the variants; got {self.control!r}"),
            (self.starts < self.ends, f"an experiment starts before it ends; got {self.starts} and {self.ends}"),
            (0 <= first < last <= 100, f"traffic is two rising hundredths from 0 to 100; got {self.traffic}"),
            (not self.strata or self.covariate_days > 0, "strata need covariate_days above 0; got 0"),
        )
        broken = next((sentence for holds, sentence in rules if not holds), None)
        if broken:
            raise ValueError(broken)
        return self

    @property
    def window(self) -> timedelta:
        return timedelta(hours=self.attribution_window_hours)

    @property
    def before(self) -> datetime:
        """Where the time begins that covariates are measured in."""
        return self.starts - timedelta(days=self.covariate_days)

    @property
    def treatments(self) -> tuple[str, ...]:
        return tuple(name for name in self.variants if name != self.control)

    @property
    def alpha_each(self) -> float:
        """Of each treatment against the control: Bonferroni's part of alpha."""
        return self.alpha / len(self.treatments)


def read_experiment(path: Path) -> Experiment:
    """The declaration in `path`.

    Raises:
        SettingsRefused: the file cannot be read, is no YAML, or breaks a rule.
    """
    try:
        stated = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        words = " ".join(str(error).split())
        raise SettingsRefused(
            f"an experiment is declared in a YAML file; {path.name} cannot be read: {words}"
        ) from None
    if not isinstance(stated, dict):
        raise SettingsRefused(f"an experiment states fields and values; {path.name} holds {type(stated).__name__}")
    try:
        return Experiment.model_validate(stated)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        told = f"{first['msg'].removeprefix('Value error, ')}{f' at {where}' if where else ''}"
        raise SettingsRefused(f"{path.name}: {told}" + (f"; got {first['input']!r}" if where else "")) from None
