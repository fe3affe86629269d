"""What the HTML report says, as data: plain enough for JSON, and checked, so that no figure is missing or NaN.

`Report.model_validate(a dict)` and `report.model_dump(mode="json")` are inverse. Names of metrics are free; those of
`glossary.py`, with or without `@k`, are explained, and their best value is marked.
"""

from datetime import datetime
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, model_validator

from training.evaluation.bootstrap import Interval
from training.evaluation.compare import MARGIN
from training.verdict import Verdict


class _Content(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Estimate(_Content):
    """A value with the limits of its 95 % interval, None where there is none."""

    value: FiniteFloat
    low: FiniteFloat | None = None
    high: FiniteFloat | None = None

    @classmethod
    def of(cls, interval: Interval) -> Self:
        return cls(value=interval.value, low=interval.low, high=interval.high)

    @property
    def interval(self) -> Interval | None:
        return None if self.low is None or self.high is None else Interval(self.value, self.low, self.high)


class ModelRow(_Content):
    """One model of the table. `about` says in a few words what it is."""

    name: str
    about: str = ""
    metrics: dict[str, Estimate]


class Difference(_Content):
    """A model minus the reference in the metric that decides, paired; `verdict` is that of `not_below`."""

    model: str
    estimate: Estimate
    verdict: Verdict


class SegmentRow(_Content):
    """The metric that decides, for one model in one segment of users or items."""

    of: Literal["users", "items"]
    segment: str
    model: str
    requests: int
    users: int
    estimate: Estimate


class Evaluation(_Content):
    """One protocol: every model on the same requests.

    `model` is the one that the report is about, `reference` the one that it must beat, and `reference_is` says how that
    was chosen. `metric` decides; every model has it.
    """

    name: str
    protocol: list[str] = Field(description="sentences on how it was measured")
    requests: int
    users: int
    seeds: int = 1
    metric: str
    model: str
    reference: str
    reference_is: str
    margin: FiniteFloat = MARGIN
    models: list[ModelRow] = Field(min_length=1)
    differences: list[Difference] = []
    segments: list[SegmentRow] = []

    @model_validator(mode="after")
    def _names_are_of_models(self) -> Self:
        names = [row.name for row in self.models]
        if len(set(names)) < len(names):
            raise ValueError(f"expected one row for each model; got {names}")
        used = {self.model, self.reference} | {d.model for d in self.differences} | {s.model for s in self.segments}
        if used - set(names):
            raise ValueError(f"expected models among {names}; got {sorted(used - set(names))} too")
        without = [row.name for row in self.models if self.metric not in row.metrics]
        if without:
            raise ValueError(f"expected {self.metric} for every model; {without} have none")
        return self

    def row(self, name: str) -> ModelRow:
        return next(row for row in self.models if row.name == name)

    def value(self, name: str) -> float:
        """The metric that decides, of one model."""
        return self.row(name).metrics[self.metric].value

    def difference(self, name: str) -> Difference | None:
        return next((d for d in self.differences if d.model == name), None)

    @property
    def metrics(self) -> list[str]:
        """Every metric of any model, in the order of their first appearance, the one that decides first."""
        return list(dict.fromkeys([self.metric, *(name for row in self.models for name in row.metrics)]))


class Line(_Content):
    name: str
    x: list[FiniteFloat]
    y: list[FiniteFloat]


class Chart(_Content):
    """Lines over one axis, for instance a metric on validation over epochs."""

    title: str
    x_label: str
    y_label: str
    lines: list[Line]


class Importances(_Content):
    """What the ranker looks at. `measure` says in which sense, for instance "mean absolute SHAP value"."""

    measure: str
    values: dict[str, FiniteFloat]


class Report(_Content):
    title: str
    made_at: datetime
    data: dict[str, str] = Field(description="facts about the data: name -> value, for people")
    evaluations: list[Evaluation] = Field(min_length=1)
    importances: Importances | None = None
    charts: list[Chart] = []
    notes: list[str] = Field([], description="sentences on limits, and on what went wrong")
