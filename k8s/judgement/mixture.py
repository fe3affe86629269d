"""E-values of shares and of rates, valid however often somebody looks.

An e-value is what a bet against a hypothesis has earned: its expectation is at most 1 at any time that is chosen by
looking at it, so the chance that it ever reaches 1/alpha is at most alpha (J. Ville 1939). Everything here is a
function of sums, so a controller that was killed loses nothing.
"""

import math


def log_mixture(hits: float, total: float, *, a: float, b: float) -> float:
    """Log of the chance of a sequence with these hits when its share is drawn from Beta(a, b)."""
    return _log_beta(a + hits, b + total - hits) - _log_beta(a, b)


def log_chance(hits: float, total: float, share: float) -> float:
    """Log of the chance of a sequence with these hits when its share is `share`."""
    missed = total - hits
    if (hits > 0 and share <= 0) or (missed > 0 and share >= 1):
        return -math.inf
    return (hits * math.log(share) if hits > 0 else 0.0) + (missed * math.log1p(-share) if missed > 0 else 0.0)


def log_e_normal(z: float, information: float, *, scale: float) -> float:
    """Log e-value against "the effect is at most 0", from an estimate over its standard error.

    Effects above 0 are weighted by a half-normal distribution with this scale, in the unit of the effect;
    `information` is 1 / (standard error)^2 in that unit. H. Robbins (1970), Statistical methods related to the law of
    the iterated logarithm; one-sided form in S. R. Howard et al. (2021), Time-uniform, nonparametric, nonasymptotic
    confidence sequences, Annals of Statistics 49, proposition 6. For rates it holds asymptotically: I. Waudby-Smith
    et al. (2024), Time-uniform central limit theory and asymptotic confidence sequences, Annals of Statistics 52.
    """
    gained = information * scale * scale
    shrunk = z * math.sqrt(gained / (1 + gained))
    normal = 0.5 * math.erfc(-shrunk / math.sqrt(2))
    if normal <= 0:
        return -math.inf
    return math.log(2) - 0.5 * math.log1p(gained) + 0.5 * shrunk * shrunk + math.log(normal)


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
