"""Intervals that hold at every look at once, so that an experiment may be watched and stopped at any time.

The mixture sequential probability ratio test (mSPRT): a likelihood ratio against a normal mixture of effects around
zero is a martingale when there is no effect, so by Ville's inequality it ever reaches 1/alpha with a chance of at most
alpha. Its inversion is a confidence sequence. Estimates are means over many users, so normal; the guarantee is
asymptotic, hence FEWEST_USERS before the first look.

Robbins (1970), Annals of Mathematical Statistics 41; Johari, Koomen, Pekelis and Walsh (2022), Always valid inference,
Operations Research 70; Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas (2024), Annals of Statistics 52.
"""

from typing import Any

import numpy as np
from scipy.special import lambertw, ndtri

Array = np.ndarray[Any, Any]

FEWEST_USERS = 100  # of each variant


def mixture_variance(variance: float, *, alpha: float) -> float:
    """The mixture that makes the interval narrowest when the estimate's variance is `variance`.

    tau^2 / V = -W_{-1}(-alpha^2 / e) - 1, Howard, Ramdas, McAuliffe and Sekhon (2021), Annals of Statistics 49,
    section 3.5. Any value fixed beforehand is valid; one that is read off the data is not.
    """
    return variance * float(-lambertw(-(alpha**2) / np.e, k=-1).real - 1)


def half_width(variance: Array, *, mixture: float, alpha: float) -> Array:
    """Half the width of the interval around an estimate of this `variance` [...].

    sqrt(V (V + tau^2) / tau^2 (log((V + tau^2) / V) - 2 log alpha)).
    """
    spread = variance * (variance + mixture) / mixture
    return np.asarray(np.sqrt(spread * (np.log1p(mixture / variance) - 2 * np.log(alpha))))


def p_value(estimate: Array, variance: Array, *, mixture: float) -> Array:
    """Of the effect being zero, valid at whatever look it is read: 1 over the likelihood ratio, at most 1."""
    ratio = np.square(estimate) * mixture / (2 * variance * (variance + mixture)) - np.log1p(mixture / variance) / 2
    return np.asarray(np.exp(-np.maximum(ratio, 0.0)))


def planned_variance(effect: float, *, alpha: float, power: float) -> float:
    """The variance of an estimate at which a test of fixed size finds `effect` with `power`."""
    return float((effect / (ndtri(1 - alpha / 2) + ndtri(power))) ** 2)
