"""A pod's counters at one moment, read off its own /metrics; two of them become a window.

A counter that fell, a family that is not declared, a value that is no number: all of them are missing evidence with a
reason. A declared counter without samples is zero, since a client library shows a labelled series only from its first
increment on.
"""

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

import httpx
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from k8s.evidence.window import Latencies, Missing, Window

# Families, and the samples of theirs that are read.
REQUESTS = "recommend_requests"
DEGRADED = "recommend_degraded"
DURATION = "recommend_duration_seconds"
NEEDED = {REQUESTS: f"{REQUESTS}_total", DEGRADED: f"{DEGRADED}_total", DURATION: f"{DURATION}_bucket"}
CPU, STARTED = "process_cpu_seconds_total", "process_start_time_seconds"


@dataclass(frozen=True)
class Scrape:
    """Counters of one pod since it started. `reached[i]` requests took at most `bounds_ms[i]` milliseconds.

    `started` is the pod's own word on when it started, in Unix seconds, and `cpu` on the seconds of CPU time that its
    process took, where it gives them. `at` is when it was read, in Unix seconds.
    """

    requests: float
    errors: float
    degraded: float
    bounds_ms: tuple[float, ...]
    reached: tuple[float, ...]
    started: float | None = None
    cpu: float | None = None
    at: float = 0.0

    @property
    def counters(self) -> tuple[float, ...]:
        return (self.requests, self.errors, self.degraded, *self.reached)


def scrape(client: httpx.Client, url: str) -> Scrape | Missing:
    """Read a pod's metrics once."""
    try:
        answer = client.get(f"{url}/metrics", timeout=5.0)
    except httpx.HTTPError as error:
        return Missing(f"/metrics did not answer ({type(error).__name__})")
    return parse(answer.text) if answer.status_code == 200 else Missing(f"/metrics answered {answer.status_code}")


def parse(text: str) -> Scrape | Missing:
    """Read Prometheus text."""
    try:
        families = {family.name: family for family in text_string_to_metric_families(text)}
    except (ValueError, KeyError, IndexError) as error:
        return Missing(f"/metrics is no Prometheus text ({error})")
    return counters(families, [sample for family in families.values() for sample in family.samples])


def counters(declared: Collection[str], samples: Iterable[Sample]) -> Scrape | Missing:
    """A pod's counters from its samples, whoever gave them; `declared` are the families that there are."""
    if absent := [name for name in NEEDED if name not in declared]:
        return Missing(f"the metrics do not declare {', '.join(absent)}")
    try:
        found = _read(list(samples))
    except ValueError as error:
        return Missing(f"the metrics hold a label that is no number ({error})")
    whole = all(math.isfinite(value) for value in found.counters)
    return found if whole else Missing("the metrics hold a count that is no number")


def difference(before: Scrape | Missing, after: Scrape | Missing) -> Window | Missing:
    """What happened between two scrapes of one pod."""
    if isinstance(before, Missing):
        return before
    if isinstance(after, Missing):
        return after
    if not after.bounds_ms:
        return Missing("no request was timed yet")
    if not before.bounds_ms:
        before = replace(before, bounds_ms=after.bounds_ms, reached=(0.0,) * len(after.reached))
    if before.bounds_ms != after.bounds_ms:
        return Missing("the latency buckets changed between two scrapes")
    grown = [b - a for a, b in zip(before.counters, after.counters, strict=True)]
    if min(grown) < 0 or before.started != after.started:
        return Missing("the pod restarted, and what it counted before is lost")
    return _window(after.bounds_ms, *grown)


def window_of(bounds_ms: tuple[float, ...], counts: tuple[float, float, float], reached: tuple[float, ...]) -> Window:
    """A window from requests, errors and degraded answers, and the histogram's running counts.

    One request can degrade in several parts; as a share of requests it counts once at most.
    """
    requests, errors, degraded = counts
    each = tuple(upto - below for below, upto in zip((0.0, *reached), reached, strict=False))
    return Window(requests, errors, min(degraded, requests), Latencies(bounds_ms, each))


def _window(bounds_ms: tuple[float, ...], requests: float, errors: float, degraded: float, *reached: float) -> Window:
    return window_of(bounds_ms, (requests, errors, degraded), reached)


def _read(samples: list[Sample]) -> Scrape:
    # Errors are the answers of 500 and above; a 4xx is the caller's own.
    requests = _by_label(samples, REQUESTS, "code")
    buckets = {float(le): count for le, count in _by_label(samples, DURATION, "le").items()}
    return Scrape(
        requests=sum(requests.values()),
        errors=sum(count for code, count in requests.items() if int(code) >= 500),
        degraded=sum(_by_label(samples, DEGRADED, "part").values()),
        bounds_ms=tuple(1000.0 * le for le in sorted(buckets)),
        reached=tuple(buckets[le] for le in sorted(buckets)),
        started=_alone(samples, STARTED),
        cpu=_alone(samples, CPU),
    )


def _by_label(samples: list[Sample], family: str, label: str) -> Mapping[str, float]:
    """Sum of the samples for each value of one label, over all other labels."""
    sums: dict[str, float] = {}
    for sample in samples:
        if sample.name == NEEDED[family]:
            value = sample.labels.get(label, "")
            sums[value] = sums.get(value, 0.0) + sample.value
    return sums


def _alone(samples: list[Sample], name: str) -> float | None:
    """The value of a sample that there is once; None where there is none, or no number."""
    found = next((sample.value for sample in samples if sample.name == name), math.nan)
    return found if math.isfinite(found) else None
