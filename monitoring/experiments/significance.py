"""Textbook tests, by scipy: chi-squared for shares of users, Welch's t and Mann-Whitney's U for amounts a user."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import stats

from feature_repo.core.errors import NotMeasurable

Array = np.ndarray[Any, Any]


def chi_squared(treatment: Array, control: Array) -> float:
    """The p-value of equal shares; each [users] holds 0 or 1. Pearson's test without continuity correction.

    Raises:
        NotMeasurable: nobody, or everybody, has a 1.
    """
    _varying(treatment, control)
    table = [[group.sum(), len(group) - group.sum()] for group in (treatment, control)]
    return float(stats.chi2_contingency(table, correction=False).pvalue)


def welch(treatment: Array, control: Array) -> float:
    """The p-value of equal means, whatever the variances; each [users].

    Raises:
        NotMeasurable: everybody has the same value.
    """
    _varying(treatment, control)
    return float(stats.ttest_ind(treatment, control, equal_var=False).pvalue)


def mann_whitney(treatment: Array, control: Array) -> float:
    """The p-value of neither group tending to the larger values, which one very heavy user cannot carry alone.

    Raises:
        NotMeasurable: everybody has the same value.
    """
    _varying(treatment, control)
    return float(stats.mannwhitneyu(treatment, control, method="asymptotic").pvalue)


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values: calling those up to q discoveries makes at most q of the discoveries false, on average.

    Benjamini and Hochberg (1995), JRSS B 57.
    """
    return [float(value) for value in stats.false_discovery_control(list(p_values))] if len(p_values) else []


def _varying(treatment: Array, control: Array) -> None:
    both = np.concatenate([treatment, control])
    if len(treatment) < 2 or len(control) < 2:
        raise NotMeasurable(f"a test needs 2 users of each variant; got {len(treatment)} and {len(control)}")
    if (both == both[0]).all():
        raise NotMeasurable(f"a test needs a metric that varies between users; got {both[0]:g} for everybody")
