"""Ratios of sums over users, their variance, and differences between two groups of users.

The user is the unit: a user's clicks and impressions are one draw, however many there are. A mean is the ratio whose
denominator is 1 for every user. Arrays are [..., users]; leading axes are independent repetitions.

Deng, Knoblich and Lu (2018), Applying the delta method in metric analytics, KDD, section 3; Welch (1947), Biometrika.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import stdtr, stdtrit

from feature_repo.core.errors import NotMeasurable

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Estimate:
    """A value with the variance of the estimate and the degrees of freedom of that variance; arrays [...]."""

    value: Array
    variance: Array
    degrees: Array

    def interval(self, alpha: float) -> tuple[Array, Array]:
        """Two-sided limits at level 1 - alpha, Student's t."""
        half = stdtrit(self.degrees, 1 - alpha / 2) * np.sqrt(self.variance)
        return self.value - half, self.value + half

    def over(self, by: Array) -> "Estimate":
        """In units of `by` [...], a value that is taken as known."""
        return Estimate(self.value / by, self.variance / np.square(by), self.degrees)

    def p_value(self) -> Array:
        """Two-sided, of the value being 0."""
        return np.asarray(2 * stdtr(self.degrees, -np.abs(self.value) / np.sqrt(self.variance)))


def ratio(numerator: Array, denominator: Array) -> Estimate:
    """Sum of `numerator` over sum of `denominator`, both [..., users], by the delta method.

    R = sum n / sum d; Var(R) = U/(U-1) sum (n - R d)^2 / (sum d)^2.

    Raises:
        NotMeasurable: fewer than two users, a denominator that sums to nothing, or a value that is no number.
    """
    users = numerator.shape[-1]
    if users < 2:
        raise NotMeasurable(f"a variance over users needs at least 2 users; got {users}")
    if not (np.isfinite(numerator).all() and np.isfinite(denominator).all()):
        raise NotMeasurable("a metric needs finite values of every user; got one that is missing or infinite")
    below = denominator.sum(axis=-1)
    if (below <= 0).any():
        raise NotMeasurable("a ratio needs a denominator above zero; got 0 impressions or requests")
    value = numerator.sum(axis=-1) / below
    residual = numerator - np.asarray(value)[..., None] * denominator
    variance = users / (users - 1) * np.square(residual).sum(axis=-1) / np.square(below)
    return Estimate(np.asarray(value), np.asarray(variance), np.full(np.shape(value), users - 1.0))


def mean(values: Array) -> Estimate:
    """The mean over users of `values` [..., users]."""
    return ratio(values, np.ones_like(values, dtype=np.float64))


def difference(treatment: Estimate, control: Estimate) -> Estimate:
    """Treatment minus control, with Welch and Satterthwaite's degrees of freedom.

    Raises:
        NotMeasurable: neither group varies, so that nothing tells chance from effect.
    """
    variance = treatment.variance + control.variance
    if (variance <= 0).any():
        raise NotMeasurable("a difference needs a metric that varies between users; got one value for everybody")
    parts = np.square(treatment.variance) / treatment.degrees + np.square(control.variance) / control.degrees
    return Estimate(treatment.value - control.value, variance, np.square(variance) / parts)


def relative(treatment: Estimate, control: Estimate) -> Estimate:
    """The lift, treatment / control - 1, by the delta method.

    Raises:
        NotMeasurable: the control's value is 0, of which nothing is a share.
    """
    if (control.value == 0).any():
        raise NotMeasurable("a lift needs a control above zero; got 0")
    gap = difference(treatment, control)
    quotient = treatment.value / control.value
    variance = (treatment.variance + np.square(quotient) * control.variance) / np.square(control.value)
    return Estimate(quotient - 1, variance, gap.degrees)


def linearised(numerator: Array, denominator: Array) -> Array:
    """One number a user, [..., users], whose mean is the ratio and whose variance is the delta method's.

    R + (n - R d) / mean(d), over all users given; Budylin et al. (2018), Consistent transformation of ratio metrics.
    """
    below = denominator.mean(axis=-1, keepdims=True)
    pooled = numerator.sum(axis=-1, keepdims=True) / denominator.sum(axis=-1, keepdims=True)
    return np.asarray(pooled + (numerator - pooled * denominator) / below)
