"""Which optional features a data set has: they follow from its declaration, and a bundle keeps them with it."""

from dataclasses import asdict, dataclass
from typing import Any

from feature_repo.dataset.declaration import Dataset
from feature_repo.transforms.state import REACH_WINDOWS, funnel, step_columns, taste_attributes


@dataclass(frozen=True)
class FeaturePlan:
    """What there is to compute.

    `tastes`: item attributes that users have tastes in; `steps`: event types that items are converted through;
    `valued`: events have values; `repeats`: a candidate may have been met before; `context`: declared context columns.
    """

    tastes: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()
    valued: bool = False
    repeats: bool = False
    context: tuple[str, ...] = ()

    @property
    def item_state(self) -> tuple[str, ...]:
        """The raw item columns that change with time, besides those of item_popularity."""
        reach = tuple(f"item_users_{days}d" for days in REACH_WINDOWS)
        value = ("item_amount", "item_valued", "item_last_amount") if self.valued else ()
        return (*reach, *value, *step_columns(len(self.steps)))

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, saved: dict[str, Any]) -> "FeaturePlan":
        return cls(
            tastes=tuple(saved["tastes"]),
            steps=tuple(saved["steps"]),
            valued=bool(saved["valued"]),
            repeats=bool(saved["repeats"]),
            context=tuple(saved["context"]),
        )


def feature_plan(dataset: Dataset) -> FeaturePlan:
    return FeaturePlan(
        tastes=taste_attributes(dataset.items),
        steps=funnel(dataset),
        valued="value" in dataset.events.columns,
        repeats=dataset.repeat_consumption,
        context=dataset.events.context,
    )
