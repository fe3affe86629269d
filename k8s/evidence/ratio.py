"""The ratio of two sums over units (users, looks) with its variance."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class SumRatio:
    """A over B, from the sums over units of A, B, A^2, AB and B^2."""

    units: float
    a: float
    b: float
    aa: float
    ab: float
    bb: float

    @property
    def value(self) -> float:
        return self.a / self.b

    @property
    def variance(self) -> float:
        """Clustered by unit: the linearised variance of a ratio.

        W. G. Cochran (1977), Sampling Techniques, 3rd edition, section 6.3 (ratio estimator) over clusters.
        """
        ratio = self.value
        residual = self.aa - 2 * ratio * self.ab + ratio * ratio * self.bb
        return max(residual, 0.0) / (self.b * self.b) * _of_a_sample(self.units)


@dataclass(frozen=True)
class Products:
    """Sums, over the units that two ratios share, of one's A or B times the other's."""

    aa: float
    ab: float
    ba: float
    bb: float


NONE_SHARED = Products(0.0, 0.0, 0.0, 0.0)


def covariance(ours: SumRatio, theirs: SumRatio, both: Products) -> float:
    """Of two ratios, clustered by unit; by the same linearisation as their variances."""
    residual = both.aa - theirs.value * both.ab - ours.value * both.ba + ours.value * theirs.value * both.bb
    return residual / (ours.b * theirs.b) * math.sqrt(_of_a_sample(ours.units) * _of_a_sample(theirs.units))


def _of_a_sample(units: float) -> float:
    return units / (units - 1)
