"""Which new item a place of exploration shows: the probability of each, in closed form or by quadrature.

The probabilities are what the draw uses, so a logged propensity is exact whatever a quadrature leaves out.
"""

from functools import lru_cache
from typing import Any

import numpy as np

from serving.rerank.rules import Exploration

Array = np.ndarray[Any, Any]

CELLS = 512  # of the quadrature: its error is below 0.001 up to 1,000 impressions, below 0.005 up to 10,000


def probabilities(rules: Exploration, impressions: Array, clicks: Array) -> Array:
    """Float64 [n], sum 1, for n >= 1 new items in order of relevance."""
    if rules.method == "ucb":
        return upper_confidence(impressions, clicks, width=rules.width)
    if rules.method == "thompson":
        return thompson(clicks + rules.prior_clicks, impressions - clicks + rules.prior_passes)
    return np.full(len(impressions), 1 / len(impressions))


def upper_confidence(impressions: Array, clicks: Array, *, width: float) -> Array:
    """1 for the highest bound mean + width * sqrt(2 ln N / n) (UCB1, Auer et al., Machine Learning 2002), else 0.

    N is the sum of impressions. An item that was never shown comes first; among equals the more relevant one.
    """
    shown = np.maximum(impressions, 1)
    bound = clicks / shown + width * np.sqrt(2 * np.log(max(impressions.sum(), 1.0)) / shown)
    chosen = np.zeros(len(impressions))
    chosen[np.argmax(np.where(impressions == 0, np.inf, bound))] = 1
    return chosen


def thompson(successes: Array, failures: Array) -> Array:
    """The probability [n] that each of n draws from Beta(successes, failures) is the largest; both at least 1/2.

    P(i) = integral of f_i(x) prod_{j != i} F_j(x) dx, by the midpoint rule in the angle x = sin^2(angle), in which the
    densities are bounded, of equal width for equal n, and where the rule converges fast.
    """
    parts = [_beta(a, b) for a, b in zip(successes.tolist(), failures.tolist(), strict=True)]
    mass, below = np.array([mass for mass, _ in parts]), np.array([below for _, below in parts])
    largest = np.einsum("nc,nc->n", mass, _of_the_others(below))
    return np.asarray(largest / largest.sum())


@lru_cache(maxsize=2_048)
def _beta(a: float, b: float) -> tuple[Array, Array]:
    """Mass of Beta(a, b) in each cell, and below its middle, [CELLS] each, not to be written to."""
    angles = (np.arange(CELLS) + 0.5) * (np.pi / 2 / CELLS)
    log_density = (2 * a - 1) * np.log(np.sin(angles)) + (2 * b - 1) * np.log(np.cos(angles))
    mass = np.exp(log_density - log_density.max())
    mass /= mass.sum()
    return mass, np.cumsum(mass) - mass / 2


def _of_the_others(below: Array) -> Array:
    """For each row [n, cells] the product of all other rows, without dividing by what may be 0."""
    others, after = np.ones_like(below), np.ones(below.shape[1])
    for row in range(1, len(below)):
        np.multiply(others[row - 1], below[row - 1], out=others[row])
    for row in range(len(below) - 1, 0, -1):
        after *= below[row]
        others[row - 1] *= after
    return others
