"""Is one share larger than another by more than a margin? E-values from counts alone.

Each variant bets on its own share, mixed over Beta(1/2, 50): most weight below 1 %, some up to 10 %, where shares of
failed requests lie. The e-value is the bets over the largest likelihood that any pair of shares within the hypothesis
gives the data: at the true pair that ratio is a martingale, and the largest likelihood only makes it smaller. L.
Wasserman, A. Ramdas, S. Balakrishnan (2020), Universal inference, PNAS 117, 16880-16890, with a mixture as numerator.
"""

import math
from dataclasses import dataclass

from k8s.judgement.mixture import log_chance, log_mixture

PRIOR_A, PRIOR_B = 0.5, 50.0
# Halvings of the range that holds the boundary's likeliest share: enough for nine digits.
HALVINGS = 40


@dataclass(frozen=True)
class Count:
    """Hits among requests."""

    hits: float
    total: float

    @property
    def share(self) -> float:
        return self.hits / self.total


def log_e_above(canary: Count, stable: Count, *, margin: float) -> float:
    """Log e-value against "the canary's share exceeds the stable's by at most the margin"."""
    if canary.share - stable.share <= margin:
        return -math.inf
    return _log_e_boundary(canary, stable, margin)


def log_e_below(canary: Count, stable: Count, *, margin: float) -> float:
    """Log e-value against "the canary's share exceeds the stable's by at least the margin"."""
    if canary.share - stable.share >= margin:
        return -math.inf
    return _log_e_boundary(canary, stable, margin)


def _log_e_boundary(canary: Count, stable: Count, margin: float) -> float:
    share = _likeliest(canary, stable, margin)
    bets = _log_bets(canary) + _log_bets(stable)
    return bets - log_chance(canary.hits, canary.total, share + margin) - log_chance(stable.hits, stable.total, share)


def _log_bets(count: Count) -> float:
    return log_mixture(count.hits, count.total, a=PRIOR_A, b=PRIOR_B)


def _likeliest(canary: Count, stable: Count, margin: float) -> float:
    """The stable's share for which the data are likeliest, if the canary's is larger by exactly the margin.

    The log-likelihood is concave, and its maximum lies between what each variant would have alone.
    """
    low, high = sorted((min(max(stable.share, 0.0), 1 - margin), min(max(canary.share - margin, 0.0), 1 - margin)))
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if _slope(canary, middle + margin) + _slope(stable, middle) > 0:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _slope(count: Count, share: float) -> float:
    """Derivative of the log-likelihood at a share."""
    up = count.hits / share if count.hits > 0 and share > 0 else (math.inf if count.hits > 0 else 0.0)
    missed = count.total - count.hits
    down = missed / (1 - share) if missed > 0 and share < 1 else (math.inf if missed > 0 else 0.0)
    return up - down
