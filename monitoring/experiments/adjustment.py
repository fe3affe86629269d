"""What is known of users before an experiment, taken out of what they did in it: CUPED and post-stratification.

Both leave the expected difference as it is, since chance alone dealt the users out, and make its variance smaller.
"""

from typing import Any

import numpy as np

from feature_repo.core.errors import NotMeasurable
from monitoring.experiments.estimates import Estimate

Array = np.ndarray[Any, Any]


def cuped(values: Array, covariate: Array) -> Array:
    """`values` [..., users] of all variants together, less what `covariate` [..., users] foretold.

    y - theta (x - mean x), theta = Cov(x, y) / Var(x); Deng, Xu, Kohavi and Walker (2013), WSDM. `covariate` may hold
    only what was measured before the experiment. Where it does not vary the values stay as they are.
    """
    centred = covariate - covariate.mean(axis=-1, keepdims=True)
    spread = np.square(centred).sum(axis=-1, keepdims=True)
    together = (centred * (values - values.mean(axis=-1, keepdims=True))).sum(axis=-1, keepdims=True)
    theta = np.divide(together, spread, out=np.zeros_like(together), where=spread > 0)
    return np.asarray(values - theta * centred)


def post_stratified(values: Array, treated: Array, stratum: Array) -> Estimate:
    """Treatment minus control within strata, weighed by their shares of users.

    `values`, `treated` (bool) and `stratum` (numbers from 0) are [users]. Sum of W (y_t - y_c), variance sum of
    W^2 (s_t^2 / n_t + s_c^2 / n_c); Miratrix, Sekhon and Yu (2013), JRSS B 75.

    Raises:
        NotMeasurable: a stratum has fewer than two users of either variant.
    """
    strata = int(stratum.max()) + 1
    share = np.bincount(stratum, minlength=strata) / len(stratum)
    gap, variance, parts = np.zeros(strata), np.zeros(strata), np.zeros(strata)
    for place in range(strata):
        for sign, group in ((1, treated), (-1, ~treated)):
            inside = values[(stratum == place) & group]
            if len(inside) < 2:
                raise NotMeasurable(f"a stratum needs 2 users of each variant; stratum {place} has {len(inside)}")
            own = inside.var(ddof=1) / len(inside)
            gap[place] += sign * inside.mean()
            variance[place] += own
            parts[place] += np.square(own) / (len(inside) - 1)
    total = (np.square(share) * variance).sum()
    if total <= 0:
        raise NotMeasurable("a difference needs a metric that varies between users; got one value within every stratum")
    degrees = np.square(total) / (np.power(share, 4) * parts).sum()
    return Estimate(np.asarray((share * gap).sum()), np.asarray(total), np.asarray(degrees))
