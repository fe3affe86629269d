"""Distances between two samples of one column, as Evidently defines them, but for many windows of one reference.

A reference is sorted once; a window then costs one sort of its own values.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Sorted:
    """The reference's values [n] in order, and the running sums of them [n + 1]."""

    values: Array
    sums: Array

    @classmethod
    def of(cls, values: Array) -> "Sorted":
        ordered = np.sort(values)
        return cls(ordered, np.concatenate([[0.0], np.cumsum(ordered)]))


def wasserstein(reference: Sorted, current: Array) -> float:
    """The first Wasserstein distance, exact: the area between the two quantile functions.

    Against one current value x, held on the interval (a, b] of probability, the reference's quantile function Q lies
    below x up to c = F(x) and above it from there; G, the running sum of Q, gives both areas.
    """
    n = len(reference.values)
    x = np.sort(current)
    edges = np.linspace(0.0, 1.0, len(x) + 1)
    a, b = edges[:-1], edges[1:]
    c = np.clip(np.searchsorted(reference.values, x, side="right") / n, a, b)
    at = np.arange(n + 1) / n
    mean_sums = reference.sums / n
    g_edges = np.interp(edges, at, mean_sums)
    g_a, g_b, g_c = g_edges[:-1], g_edges[1:], np.interp(c, at, mean_sums)
    return float(np.sum(x * (c - a) - (g_c - g_a) + (g_b - g_c) - x * (b - c)))


def jensen_shannon(reference: Array, current: Array) -> Array:
    """Jensen-Shannon distance (natural logarithm) of two sets of shares [..., k]: [...]."""
    middle = (reference + current) / 2
    divergence = (_entropy_terms(reference, middle) + _entropy_terms(current, middle)).sum(axis=-1) / 2
    distance: Array = np.sqrt(np.maximum(divergence, 0.0))
    return distance


def _entropy_terms(share: Array, middle: Array) -> Array:
    safe = np.where(share > 0, share, 1.0)
    return np.where(share > 0, share * np.log(safe / np.where(middle > 0, middle, 1.0)), 0.0)
