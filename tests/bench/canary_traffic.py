"""What is true of one variant, and what its pods tell of a look's requests: failures, latencies, CPU time."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from scipy.stats import lognorm

from k8s.evidence.cpu import CpuSums
from k8s.evidence.window import Latencies, Window

Array = np.ndarray[Any, Any]

REQUESTS_PER_SECOND = 500
TICK_SECONDS = 10.0
# The service's own buckets.
BOUNDS_MS = (1.0, 2.0, 3.0, 4.0, 5.0, 6.5, 8.0, 10.0, 12.5, 15.0, 20.0, 30.0, 50.0, 100.0, 250.0, 500.0, np.inf)
MEDIAN_MS, LOG_SPREAD = 4.0, 0.35  # lognormal: p50 4 ms, p99 9 ms
# Of a CPU, what a pod spends on no request; and the spread, as a log, of what its requests cost from look to look.
IDLE, CPU_SPREAD = 0.02, 0.2


@dataclass(frozen=True)
class Behaviour:
    """What is true of one variant."""

    click_rate: float = 0.05  # an impression
    error_share: float = 0.001
    degraded_share: float = 0.002
    slower: float = 1.0  # every latency times this
    cpu_ms: float = 3.0  # CPU time of a request
    silent: bool = False  # it serves, and nobody hears of it: no metrics, no log


@dataclass(frozen=True, eq=False)
class Told:
    """What the pod of one variant tells of one look, or of several."""

    counts: Array  # [3]: requests, errors, degraded
    latencies: Array  # [bounds]
    cpu: CpuSums

    @classmethod
    def nothing(cls) -> "Told":
        return cls(np.zeros(3), np.zeros(len(BOUNDS_MS)), CpuSums())

    def and_look(self, behaviour: Behaviour, requests: int, rng: np.random.Generator) -> "Told":
        """With one look more, in which it had so many requests."""
        errors, degraded = rng.binomial(requests, [behaviour.error_share, behaviour.degraded_share])
        cost = behaviour.cpu_ms / 1000 * np.exp(CPU_SPREAD * rng.normal())
        return Told(
            self.counts + np.array([requests, errors, degraded]),
            self.latencies + rng.multinomial(requests, _buckets(behaviour.slower)),
            self.cpu.plus(requests * cost + IDLE * TICK_SECONDS, TICK_SECONDS, requests),
        )

    @property
    def window(self) -> Window:
        requests, errors, degraded = self.counts.tolist()
        return Window(requests, errors, degraded, Latencies(BOUNDS_MS, tuple(self.latencies.tolist())))


@cache
def _buckets(slower: float) -> Array:
    """The share of requests in each bucket."""
    reached = lognorm.cdf(np.asarray(BOUNDS_MS) / slower, LOG_SPREAD, scale=MEDIAN_MS)
    shares = np.diff(reached, prepend=0.0)
    return np.asarray(shares / shares.sum())
