"""Is one ratio of sums at most, or at least, so many times another? E-values from sums over units."""

import math

from k8s.evidence.ratio import SumRatio
from k8s.judgement.mixture import log_e_normal


def log_e_above(ours: SumRatio, theirs: SumRatio, *, times: float, scale: float, covariance: float = 0.0) -> float:
    """Log e-value against "ours is at most `times` theirs".

    `scale` is the effect looked for, as a share of theirs; `covariance` is that of the two ratios, where they share
    units.
    """
    return _log_e(ours, theirs, times, scale, covariance, sign=+1)


def log_e_below(ours: SumRatio, theirs: SumRatio, *, times: float, scale: float, covariance: float = 0.0) -> float:
    """Log e-value against "ours is at least `times` theirs"."""
    return _log_e(ours, theirs, times, scale, covariance, sign=-1)


def standard_error(ours: SumRatio, theirs: SumRatio, *, times: float, covariance: float = 0.0) -> float:
    """Of ours less `times` theirs."""
    return math.sqrt(max(ours.variance + times * times * theirs.variance - 2 * times * covariance, 0.0))


def _log_e(ours: SumRatio, theirs: SumRatio, times: float, scale: float, covariance: float, *, sign: int) -> float:
    error = standard_error(ours, theirs, times=times, covariance=covariance)
    if error <= 0:
        return -math.inf
    above = (ours.value - times * theirs.value) / error
    z = as_normal(sign * above, freedom=min(ours.units, theirs.units) - 1)
    return log_e_normal(z, (theirs.value / error) ** 2, scale=scale)


def as_normal(t: float, *, freedom: float) -> float:
    """The normal deviate that is as unlikely as Student's t: the variance is itself an estimate, from few units.

    D. L. Wallace (1959), Bounds on normal approximations to Student's and the chi-square distributions, Annals of
    Mathematical Statistics 30, 1121-1130, corollary 2.
    """
    shrunk = math.sqrt(freedom * math.log1p(t * t / freedom)) * (8 * freedom + 1) / (8 * freedom + 3)
    return math.copysign(shrunk, t)
