"""What a search may change, as data: a setting's dotted name, and its range or its choices."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna

from feature_repo.core.errors import SettingsRefused
from training.search.settings_file import checked_settings
from training.settings import TrainingSettings

Value = int | float | bool | str


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included; `log`: ratios count and not differences."""

    name: str
    low: float
    high: float
    log: bool = False
    whole: bool = False


@dataclass(frozen=True)
class Choice:
    name: str
    choices: tuple[Value, ...]


Parameter = Range | Choice

SPACE: tuple[Parameter, ...] = (
    Choice("tower.dimension", (32, 48, 64, 96)),
    Range("tower.learning_rate", 0.0005, 0.01, log=True),
    Range("tower.temperature", 0.03, 0.3, log=True),
    Range("tower.id_dropout", 0.3, 0.95),
    Choice("candidates.total", (100, 200, 300)),
    Range("ranker.learning_rate", 0.02, 0.2, log=True),
    Range("ranker.depth", 3, 8, whole=True),
    Range("ranker.min_child_weight", 0.5, 50, log=True),
    Range("ranker.column_share", 0.3, 1.0),
    Choice("ranker.pair_method", ("topk", "mean")),
)


def distributions(space: Sequence[Parameter]) -> dict[str, optuna.distributions.BaseDistribution]:
    """The space in Optuna's words."""
    return {parameter.name: _distribution(parameter) for parameter in space}


def _distribution(parameter: Parameter) -> optuna.distributions.BaseDistribution:
    if isinstance(parameter, Choice):
        return optuna.distributions.CategoricalDistribution(parameter.choices)
    if parameter.whole:
        return optuna.distributions.IntDistribution(int(parameter.low), int(parameter.high), log=parameter.log)
    return optuna.distributions.FloatDistribution(parameter.low, parameter.high, log=parameter.log)


def settings_with(base: TrainingSettings, values: Mapping[str, Any]) -> TrainingSettings:
    """`base` with the values of dotted names in place of its own.

    Raises:
        SettingsRefused: there is no such setting, or it does not take the value.
    """
    whole = base.model_dump()
    for name, value in values.items():
        *path, last = name.split(".")
        inner = whole
        for part in path:
            inner = inner.get(part, {})
        if last not in inner:
            raise SettingsRefused(f"a search changes settings by their dotted names; there is no {name!r}")
        inner[last] = value
    return checked_settings(whole, "the values of a trial")


def values_in(base: TrainingSettings, space: Sequence[Parameter]) -> dict[str, Any] | None:
    """The values of `base` in the space's names; None where one of them lies outside of it."""
    whole, found = base.model_dump(), {}
    for parameter in space:
        inner: Any = whole
        for part in parameter.name.split("."):
            inner = inner[part]
        if isinstance(parameter, Choice):
            inside = inner in parameter.choices
        else:
            inside = parameter.low <= inner <= parameter.high
        if not inside:
            return None
        found[parameter.name] = inner
    return found
