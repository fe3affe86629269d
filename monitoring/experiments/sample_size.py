"""How many users an experiment needs before it starts, for its effect to be found if it is there."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr

from feature_repo.core.errors import NotMeasurable
from monitoring.experiments.sequential import half_width, mixture_variance, planned_variance

MOST_USERS = 10_000_000_000


@dataclass(frozen=True)
class Spread:
    """Standard deviations of one user's value, in the metric's unit."""

    control: float
    treatment: float

    @classmethod
    def multiplied(cls, control: float, lift: float) -> "Spread":
        """Where the effect multiplies what each user does, it multiplies the spread, too."""
        return cls(control, control * (1 + lift))

    def pooled(self, share: float) -> float:
        """The one that, were both groups to have it, gave their difference the same variance."""
        return math.sqrt(self.treatment**2 * (1 - share) + self.control**2 * share)


def users_for(effect: float, spread: Spread, *, alpha: float, power: float, share: float = 0.5) -> tuple[int, int]:
    """Users of treatment and of control for a two-sided Welch test; `share` is the treatment's part of both.

    `effect` has the metric's unit. The power of the t test is statsmodels'.

    Raises:
        NotMeasurable: no effect, no spread, or more people than there are.
    """
    size = _standardised(effect, spread.pooled(share))
    ratio = share / (1 - share)
    control = _t_test().solve_power(effect_size=size, alpha=alpha, power=power, ratio=ratio)
    return math.ceil(float(control) * ratio), math.ceil(float(control))


def power_of(effect: float, spread: Spread, *, alpha: float, treatment: int, control: int) -> float:
    """The chance that a two-sided test of these numbers of users finds `effect`."""
    size = abs(effect) / spread.pooled(treatment / (treatment + control))
    return float(_t_test().power(size, control, alpha, ratio=treatment / control))


def users_for_sequential(
    effect: float, spread: Spread, *, alpha: float, power: float, share: float = 0.5
) -> tuple[int, int]:
    """Users by whom the always-valid interval has left zero with `power`, at the latest.

    The chance of having left it at any look is not smaller than that of being outside at the last, which is
    Phi((effect - half width) / sd); the two-sided other end is left out.

    Raises:
        NotMeasurable: as `users_for`.
    """
    one = spread.pooled(share)
    _standardised(effect, one)
    mixture = mixture_variance(planned_variance(effect, alpha=alpha, power=power), alpha=alpha)

    def short_of_power(total: float) -> float:
        variance = one**2 / (total * share * (1 - share))
        width = float(half_width(np.asarray(variance), mixture=mixture, alpha=alpha))
        return float(ndtr((abs(effect) - width) / math.sqrt(variance))) - power

    total = brentq(short_of_power, 4, MOST_USERS)
    return math.ceil(total * share), math.ceil(total * (1 - share))


def _t_test() -> Any:
    # Importing statsmodels costs a second or two, which only a plan should pay.
    from statsmodels.stats.power import TTestIndPower

    return TTestIndPower()


def _standardised(effect: float, standard_deviation: float) -> float:
    if effect == 0 or not standard_deviation > 0:
        raise NotMeasurable(
            f"a sample size needs an effect and a spread above zero; got {effect:g} and {standard_deviation:g}"
        )
    size = abs(effect) / standard_deviation
    if size < 1e-4:
        raise NotMeasurable(
            f"an effect of {size:.1e} standard deviations of a user needs more than a thousand million users"
        )
    return size
