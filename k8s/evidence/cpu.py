"""CPU time of both variants' pods, as sums over what passed between two looks."""

from dataclasses import dataclass

from k8s.evidence.ratio import SumRatio


@dataclass(frozen=True)
class CpuSums:
    """CPU seconds `c`, seconds of pods `t` and requests `r` of one variant in a step, and sums of their products.

    One unit is what passed between two looks: a burst (a new item table, a collection of garbage) lies within few.
    """

    looks: float = 0.0
    c: float = 0.0
    t: float = 0.0
    r: float = 0.0
    cc: float = 0.0
    ct: float = 0.0
    cr: float = 0.0
    tt: float = 0.0
    tr: float = 0.0
    rr: float = 0.0

    def plus(self, c: float, t: float, r: float) -> "CpuSums":
        """With one more look, between which and the one before this much passed."""
        one = CpuSums(1.0, c, t, r, c * c, c * t, c * r, t * t, t * r, r * r)
        return CpuSums(*(getattr(self, name) + getattr(one, name) for name in self.__dataclass_fields__))

    def a_request(self, *, idle: float = 0.0) -> SumRatio:
        """CPU seconds a request, without what a pod may spend on none: `idle` seconds of CPU in a second."""
        return SumRatio(
            units=self.looks,
            a=self.c - idle * self.t,
            b=self.r,
            aa=self.cc - 2 * idle * self.ct + idle * idle * self.tt,
            ab=self.cr - idle * self.tr,
            bb=self.rr,
        )


@dataclass(frozen=True)
class Cpu:
    """Of both variants, over the same step."""

    canary: CpuSums
    stable: CpuSums
