"""The counters of one serving process, in Prometheus' words."""

from dataclasses import dataclass

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram

# Every part that an answer can go on without.
DEGRADABLE = ("features", "seen", "ranker", "recommender")
# Fine around the promise of 10 ms, so that p50 and p99 of a canary can be read off the buckets.
_MILLISECONDS = (1, 2, 3, 4, 5, 6.5, 8, 10, 12.5, 15, 20, 30, 50, 100, 250, 500, 1_000, 5_000)


@dataclass(frozen=True)
class Metrics:
    """One process's counters. PROMETHEUS_MULTIPROC_DIR must be set before this module is imported."""

    requests: Counter
    degraded: Counter
    duration: Histogram
    events: Counter
    log_dropped: Counter


def register_metrics(registry: CollectorRegistry | None = None) -> Metrics:
    """Register the metrics, by default where Bento's own /metrics finds them."""
    registry = REGISTRY if registry is None else registry
    seconds = tuple(milliseconds / 1_000 for milliseconds in _MILLISECONDS)

    def counter(name: str, meaning: str, *labels: str) -> Counter:
        return Counter(name, meaning, labels, registry=registry)

    metrics = Metrics(
        requests=counter("recommend_requests_total", "Answers of POST /recommend by status code", "code"),
        degraded=counter("recommend_degraded_total", "Answers that went on without a part", "part"),
        duration=Histogram(
            "recommend_duration_seconds", "Body read to answer made", buckets=seconds, registry=registry
        ),
        events=counter("events_received_total", "Events of POST /events by outcome", "outcome"),
        log_dropped=counter("request_log_dropped_rows_total", "Rows that the request log could not keep"),
    )
    # A series that appears with its first error cannot be told from one that nobody counts, so all start at 0.
    for code in ("200", "400", "500"):
        metrics.requests.labels(code)
    for part in DEGRADABLE:
        metrics.degraded.labels(part)
    return metrics
