"""What an experiment needs, before it starts."""

import math
from dataclasses import dataclass

from monitoring.experiments.declaration import Experiment, Primary
from monitoring.experiments.metrics import METRICS
from monitoring.experiments.sample_size import Spread, users_for, users_for_sequential
from monitoring.experiments.sequential import FEWEST_USERS


@dataclass(frozen=True)
class Plan:
    """`users` of each variant; with `looks: any` by when the answer is there with the stated power, at the latest."""

    users: dict[str, int]
    effect: float  # the smallest one worth finding, in the metric's unit

    @property
    def total(self) -> int:
        return sum(self.users.values())


def _spread(primary: Primary) -> Spread:
    treated = primary.mean * (1 + primary.minimum_effect)
    if METRICS[primary.metric].kind == "share" and treated < 1:
        return Spread(primary.standard_deviation, math.sqrt(treated * (1 - treated)))
    return Spread.multiplied(primary.standard_deviation, primary.minimum_effect)


def plan_of(experiment: Experiment) -> Plan:
    """Users for every treatment against the control; the control gets what its hungriest comparison needs.

    Raises:
        NotMeasurable: the effect is too small for any number of people.
    """
    primary = experiment.primary
    effect = primary.minimum_effect * primary.mean
    needed = users_for if experiment.looks == "once" else users_for_sequential
    users: dict[str, int] = {experiment.control: 0}
    for name in experiment.treatments:
        share = experiment.variants[name] / (experiment.variants[name] + experiment.variants[experiment.control])
        treatment, control = needed(
            effect,
            _spread(primary),
            alpha=experiment.alpha_each,
            power=experiment.power,
            share=share,
        )
        users[name] = max(treatment, FEWEST_USERS)
        users[experiment.control] = max(users[experiment.control], control, FEWEST_USERS)
    return Plan({name: users[name] for name in experiment.variants}, effect)
