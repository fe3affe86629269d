"""What a rollout's quality is judged on: sums over users, so that a user's clicks count as one cluster."""

from dataclasses import dataclass

from k8s.evidence.lists import Lists
from k8s.evidence.ratio import NONE_SHARED, Products, SumRatio, covariance
from k8s.evidence.window import Missing


@dataclass(frozen=True)
class RateSums:
    """Clicks an impression of one variant, since the rollout's attempt began, summed by user.

    Every impression of a step counts with the other variant's share of that step's impressions as its weight. So a
    rate that rises over the day is no advantage of the canary, most of whose traffic comes last: N. Mantel and W.
    Haenszel (1959), Statistical aspects of the analysis of data from retrospective studies, JNCI 22, 719-748. With A a
    user's weighted clicks and B the weighted impressions, the sums over users of A, B, A^2, AB and B^2 give the rate
    and its variance.
    """

    users: float
    impressions: float  # not weighted
    clicks: float  # not weighted
    a: float
    b: float
    aa: float
    ab: float
    bb: float

    @property
    def ratio(self) -> SumRatio:
        """Weighted clicks a weighted impression."""
        return SumRatio(self.users, self.a, self.b, self.aa, self.ab, self.bb)

    @property
    def rate(self) -> float:
        return self.ratio.value

    def __add__(self, other: "RateSums") -> "RateSums":
        """Of two groups that share no user."""
        return RateSums(
            *(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__),
        )


@dataclass(frozen=True)
class Allotted:
    """How the current step's units fell: users where they stay on a variant, else requests."""

    canary: float
    total: float
    unit: str = "users"


@dataclass(frozen=True)
class Rate:
    """One rate of both variants.

    Users who met both are no independent evidence of each: whoever clicks readily does so on either side. `both` has
    the canary's sums times the stable's, summed over them, so that what they have in common leaves the comparison.
    """

    canary: RateSums
    stable: RateSums
    both: Products = NONE_SHARED

    @property
    def covariance(self) -> float:
        """Of the canary's rate and the stable's."""
        return covariance(self.canary.ratio, self.stable.ratio, self.both)


@dataclass(frozen=True)
class Quality:
    """What users did with both variants' slates."""

    clicks: Rate | Missing
    conversions: Rate | Missing
    allotted: Allotted | Missing
    sticky_share: float | None = None  # of requests that came with their user's bucket
    lists: tuple[Lists, Lists] | None = None  # the canary's and the stable's, shown and never judged
    age_seconds: float = 0.0  # since the newest impression that is old enough to count
