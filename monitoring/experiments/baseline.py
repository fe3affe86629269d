"""What the primary metric was before an experiment: the two numbers that its declaration states."""

from dataclasses import dataclass

import pyarrow as pa

from feature_repo.core.errors import NotMeasurable
from monitoring.experiments.compare import sums_of
from monitoring.experiments.declaration import Experiment
from monitoring.experiments.estimates import linearised
from monitoring.experiments.impressions import EPOCH
from monitoring.experiments.metrics import METRICS
from monitoring.experiments.people import people_of


@dataclass(frozen=True)
class Baseline:
    """Mean, and standard deviation of one user's (for a ratio linearised) value, over `users`."""

    mean: float
    standard_deviation: float
    users: int


def baseline_of(impressions: pa.Table, experiment: Experiment) -> Baseline:
    """From everything that the control showed before the start.

    A metric per user grows with the days that it is summed over: give it a log as long as the experiment.

    Raises:
        NotMeasurable: fewer than two users were there.
    """
    earlier = {"starts": EPOCH, "ends": experiment.starts, "covariate_days": 0, "variants": {experiment.control: 1.0}}
    people = people_of(impressions, experiment.model_copy(update=earlier))
    users = people.count(experiment.control)
    if users < 2:
        raise NotMeasurable(f"a baseline needs 2 users of {experiment.control} before {experiment.starts}; got {users}")
    values = linearised(*sums_of(people.during, METRICS[experiment.primary.metric], people.variant != ""))
    return Baseline(float(values.mean()), float(values.std(ddof=1)), users)
