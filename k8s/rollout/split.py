"""How traffic is split: the one value that a data plane is told."""

from dataclasses import dataclass

from feature_repo.core.assignment import BUCKETS
from feature_repo.core.errors import RecommenderError


class SplitRefused(RecommenderError):
    """A split breaks a rule."""


@dataclass(frozen=True)
class Split:
    """The canary's share of traffic.

    Callers that send their user's bucket are routed by it: the canary's are the `weight` buckets from `first_bucket`
    on, modulo 100, so a range that grows keeps everybody it has. Requests without the header fall under the weight.
    `shadow` mirrors POST /recommend to the canary, whose answers are thrown away; its weight is then 0.
    """

    weight: int = 0  # percent
    first_bucket: int = 0  # 0 to 99
    shadow: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.weight <= 100:
            raise SplitRefused(f"expected a weight from 0 to 100; got {self.weight}")
        if not 0 <= self.first_bucket < BUCKETS:
            raise SplitRefused(f"expected a first bucket from 0 to {BUCKETS - 1}; got {self.first_bucket}")
        if self.shadow and self.weight:
            raise SplitRefused(f"expected weight 0 beside a shadow, which no user sees; got {self.weight}")

    def buckets(self) -> tuple[int, ...]:
        """The canary's buckets, in the order in which the range grows."""
        return tuple((self.first_bucket + offset) % BUCKETS for offset in range(self.weight))
