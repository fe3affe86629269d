"""The ratio of two sums over units (users, looks) with its variance."""

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
        return max(residual, 0.0) / (self.b * self.b) * self.units / (self.units - 1)
