"""What a rollout's operations are judged on: counts and latencies of both variants, as values.

Missing evidence is a value too.
"""

import math
from dataclasses import dataclass
from itertools import accumulate

from k8s.evidence.cpu import Cpu


@dataclass(frozen=True)
class Missing:
    """Evidence that could not be had, and why. It can never let a canary pass."""

    reason: str


@dataclass(frozen=True)
class Latencies:
    """A histogram. `counts[i]` requests took more than `bounds_ms[i - 1]` and at most `bounds_ms[i]` milliseconds.

    The last bound is infinite. Between bounds the requests are taken as evenly spread, as Prometheus does.
    """

    bounds_ms: tuple[float, ...]
    counts: tuple[float, ...]

    @property
    def total(self) -> float:
        return sum(self.counts)

    def quantile(self, share: float) -> float:
        """Milliseconds within which `share` of the requests ended; infinite in the open bucket."""
        wanted = share * self.total
        low = 0.0
        for bound, count, reached in zip(self.bounds_ms, self.counts, accumulate(self.counts), strict=True):
            if count > 0 and reached >= wanted:
                return bound if math.isinf(bound) else low + (bound - low) * (1 - (reached - wanted) / count)
            low = bound
        return math.nan

    def bound_from(self, limit_ms: float) -> float:
        """The first bound at or above a limit: the nearest question that a histogram can answer without a guess."""
        return next((bound for bound in self.bounds_ms if bound >= limit_ms), math.inf)

    def slower_than(self, bound_ms: float) -> float:
        """How many requests took longer than one of the bounds."""
        return sum(count for bound, count in zip(self.bounds_ms, self.counts, strict=True) if bound > bound_ms)

    def __add__(self, other: "Latencies") -> "Latencies":
        if self.bounds_ms != other.bounds_ms:
            raise ValueError(f"expected histograms of equal bounds; got {self.bounds_ms} and {other.bounds_ms}")
        return Latencies(self.bounds_ms, tuple(a + b for a, b in zip(self.counts, other.counts, strict=True)))


@dataclass(frozen=True)
class Window:
    """What one variant did in a stretch of time. Counts are floats because a monitoring system may answer NaN."""

    requests: float
    errors: float
    degraded: float
    latencies: Latencies

    def __add__(self, other: "Window") -> "Window":
        return Window(
            requests=self.requests + other.requests,
            errors=self.errors + other.errors,
            degraded=self.degraded + other.degraded,
            latencies=self.latencies + other.latencies,
        )


@dataclass(frozen=True)
class Operations:
    """Both variants over the same stretch of time: the current step, so far."""

    canary: Window | Missing
    stable: Window | Missing
    age_seconds: float = 0.0  # since the older of the two was read
    cpu: Cpu | Missing = Missing("nobody read the pods' CPU time")


def flaw(window: Window) -> str | None:
    """The first rule that a window breaks, as a sentence; None for a window that can be judged."""
    counts = (window.requests, window.errors, window.degraded, *window.latencies.counts)
    if not all(math.isfinite(count) and count >= 0 for count in counts):
        return f"expected finite counts from 0 on; got {counts}"
    if window.errors > window.requests or window.degraded > window.requests:
        return (
            f"expected no more errors or degraded answers than requests; got {window.errors:g} errors, "
            f"{window.degraded:g} degraded, {window.requests:g} requests"
        )
    return None
