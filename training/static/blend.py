"""A linear blend of standard scores, its weights learnt listwise; the trees are to improve on it.

The softmax cross-entropy of each user's candidates against what was held out (ListNet's top-one loss: Cao et al.,
"Learning to rank: from pairwise approach to listwise approach", ICML 2007). Every user counts the same, and a user's
own level cancels out, which a pointwise loss would have to explain. No weight is below 0, as in Breiman's "Stacked
regressions" (1996): columns so much alike would otherwise cancel each other.
"""

from typing import Any

import numpy as np
from scipy import optimize

from training.ranking.query_groups import group_starts

Array = np.ndarray[Any, Any]

MOST_STEPS = 100


def blend_weights(scores: Array, gains: Array, groups: Array, *, ridge: float) -> Array:
    """Weights [r], at least 0 and with sum 1, of standard scores [n, r]; `groups` [n] holds ascending request numbers.

    `ridge`, above 0, is on the squared weights before they are divided by their sum; the larger, the more alike they
    are. NaN counts as 0, the mean. Requests without a gain say nothing; where none has one, the weights are equal.
    """
    starts = group_starts(groups)
    total = np.add.reduceat(gains, starts) if len(starts) else np.zeros(0)
    if not (total > 0).any():
        return np.full(scores.shape[1], 1 / scores.shape[1])
    kept = np.repeat(total > 0, np.diff([*starts, len(groups)]))
    values, starts = np.nan_to_num(scores[kept]).astype(np.float64), group_starts(groups[kept])
    sizes = np.diff([*starts, len(values)])
    target = gains[kept] / np.repeat(total[total > 0], sizes)
    wanted = values.T @ target

    def loss(weights: Array) -> tuple[float, Array]:
        logits = values @ weights
        highest = np.maximum.reduceat(logits, starts)
        raised = np.exp(logits - np.repeat(highest, sizes))
        sums = np.add.reduceat(raised, starts)
        value = (np.log(sums) + highest).sum() - weights @ wanted
        slope = values.T @ (raised / np.repeat(sums, sizes)) - wanted
        return value / len(starts) + ridge * weights @ weights, slope / len(starts) + 2 * ridge * weights

    start, limits = np.full(values.shape[1], 0.1), [(0, None)] * values.shape[1]
    found = optimize.minimize(loss, start, jac=True, method="L-BFGS-B", bounds=limits, options={"maxiter": MOST_STEPS})
    summed = found.x.sum()
    return found.x / summed if summed > 0 else np.full(len(found.x), 1 / len(found.x))


def blended(scores: Array, weights: Array) -> Array:
    """The blend [n] of standard scores [n, r]; NaN counts as 0, the mean."""
    result: Array = np.nan_to_num(scores) @ weights
    return result


def standard_within(scores: Array, groups: Array) -> Array:
    """Scores [n] less the mean of their request over its deviation; 0 where all of a request are equal."""
    starts = group_starts(groups)
    if not len(starts):
        return scores
    sizes = np.diff([*starts, len(scores)])
    centred = scores - np.repeat(np.add.reduceat(scores, starts) / sizes, sizes)
    deviation = np.sqrt(np.add.reduceat(centred**2, starts) / sizes)
    # Compared themselves: the mean of equal numbers may differ from them in the last digit.
    alike = np.maximum.reduceat(scores, starts) == np.minimum.reduceat(scores, starts)
    return np.asarray(centred * np.repeat(~alike, sizes) / np.repeat(np.where(deviation > 0, deviation, 1), sizes))
