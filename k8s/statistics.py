"""One-sided confidence limits for shares, fit for small counts and for shares at or near zero.

The difference of two observed shares says nothing by itself: 1 error in 100 requests beside 0 in 900 is a
"rise by one percentage point" and no evidence. So a margin is held against limits, not against the
difference.
"""

import math
from dataclasses import dataclass

from scipy.special import bdtrc, ndtri


@dataclass(frozen=True)
class Limits:
    """Two one-sided limits, each of which the truth passes with probability 1 - confidence."""

    low: float
    high: float


def wilson(hits: float, total: float, *, confidence: float) -> Limits:
    """Limits of one share: Wilson's score interval.

    E. B. Wilson (1927), Probable inference, the law of succession, and statistical inference, JASA 22,
    209-212. (p + z^2/2n -+ z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n)
    """
    z, p = float(ndtri(confidence)), hits / total
    centre = p + z * z / (2 * total)
    spread = z * math.sqrt(p * (1 - p) / total + z * z / (4 * total * total))
    scale = 1 + z * z / total
    return Limits(low=max(0.0, (centre - spread) / scale), high=min(1.0, (centre + spread) / scale))


def newcombe(canary: tuple[float, float], stable: tuple[float, float], *, confidence: float) -> Limits:
    """Limits of the canary's share minus the stable's, each given as (hits, total): the hybrid score
    interval.

    R. G. Newcombe (1998), Interval estimation for the difference between independent proportions: comparison
    of eleven methods, Statistics in Medicine 17, 873-890, method 10. With Wilson's limits l and u of each
    share, d - sqrt((p1 - l1)^2 + (u2 - p2)^2) and d + sqrt((u1 - p1)^2 + (p2 - l2)^2).
    """
    one, two = wilson(*canary, confidence=confidence), wilson(*stable, confidence=confidence)
    p1, p2 = canary[0] / canary[1], stable[0] / stable[1]
    return Limits(
        low=p1 - p2 - math.hypot(p1 - one.low, two.high - p2),
        high=p1 - p2 + math.hypot(one.high - p1, p2 - two.low),
    )


def chance_of_at_least(hits: float, total: float, *, share: float) -> float:
    """P(X >= hits) for X binomial(total, share): the exact p-value of "the true share is at most this".

    It tests a quantile without a model of latency: p99 is at most L exactly when at most 1 % of requests
    exceed L. W. J. Conover, Practical Nonparametric Statistics, section 3.2 (quantile test). A part of a hit
    counts as none.
    """
    whole = math.floor(hits)
    return 1.0 if whole <= 0 else float(bdtrc(whole - 1, math.floor(total), share))
