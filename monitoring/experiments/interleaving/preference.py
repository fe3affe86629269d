"""The credit test: which of two interleaved rankers users prefer."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from feature_repo.core.errors import NotMeasurable
from monitoring.experiments.estimates import Estimate, ratio
from monitoring.experiments.offpolicy.estimators import sum_by_user
from training.verdict import Verdict

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Preference:
    """`credit` a request, above zero for the second ranker; how many requests each won, and the rest."""

    credit: Estimate
    first: int
    second: int
    ties: int

    def verdict(self, alpha: float) -> Verdict:
        """PASS: the second ranker is preferred. FAIL: the first one is."""
        low, high = (float(end) for end in self.credit.interval(alpha))
        if low > 0:
            return Verdict.PASS
        return Verdict.FAIL if high < 0 else Verdict.INCONCLUSIVE


def preference(credit: Array, user: Array) -> Preference:
    """From the credit of each request's clicks [r] and the user of each [r], whose requests are one draw.

    The mean credit is zero if nobody prefers either, with a variance clustered by user.

    Raises:
        NotMeasurable: fewer than two users, or no click on anything that tells the rankers apart.
    """
    if not np.any(credit):
        raise NotMeasurable(
            f"a preference needs a click that tells the rankers apart; got none in {len(credit)} requests"
        )
    found = ratio(sum_by_user(credit, user), sum_by_user(np.ones(len(credit)), user))
    return Preference(found, int((credit < 0).sum()), int((credit > 0).sum()), int((credit == 0).sum()))
