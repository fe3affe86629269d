"""A pod's own /metrics: Prometheus text becomes a scrape, two scrapes become a window.

A counter that fell, a family that is not declared, a value that is no number: all of them are missing evidence with a
reason. A declared counter without samples is zero, since a client library shows a labelled series only from its first
increment on.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import httpx
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from k8s.evidence.window import Latencies, Missing, Window

REQUESTS = "recommend_requests"
DEGRADED = "recommend_degraded"
DURATION = "recommend_duration_seconds"


@dataclass(frozen=True)
class Scrape:
    """Counters of one pod since it started. `reached[i]` requests took at most `bounds_ms[i]` milliseconds.

    `started` is the pod's own word on when it started, in Unix seconds, where it gives one.
    """

    requests: float
    errors: float
    degraded: float
    bounds_ms: tuple[float, ...]
    reached: tuple[float, ...]
    started: float | None = None

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
    if absent := [name for name in (REQUESTS, DEGRADED, DURATION) if name not in families]:
        return Missing(f"/metrics does not declare {', '.join(absent)}")
    try:
        found = _read(families)
    except ValueError as error:
        return Missing(f"/metrics holds a label that is no number ({error})")
    whole = all(math.isfinite(value) for value in found.counters)
    return found if whole else Missing("/metrics holds a count that is no number")


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


def _read(families: Mapping[str, Metric]) -> Scrape:
    # Errors are the answers of 500 and above; a 4xx is the caller's own.
    requests = _by_label(families[REQUESTS], "_total", "code")
    buckets = {float(le): count for le, count in _by_label(families[DURATION], "_bucket", "le").items()}
    started = families.get("process_start_time_seconds")
    return Scrape(
        requests=sum(requests.values()),
        errors=sum(count for code, count in requests.items() if int(code) >= 500),
        degraded=sum(_by_label(families[DEGRADED], "_total", "part").values()),
        bounds_ms=tuple(1000.0 * le for le in sorted(buckets)),
        reached=tuple(buckets[le] for le in sorted(buckets)),
        started=started.samples[0].value if started and started.samples else None,
    )


def _by_label(family: Metric, suffix: str, label: str) -> Mapping[str, float]:
    """Sum of the samples for each value of one label, over all other labels."""
    sums: dict[str, float] = {}
    for sample in family.samples:
        if sample.name == family.name + suffix:
            value = sample.labels.get(label, "")
            sums[value] = sums.get(value, 0.0) + sample.value
    return sums
