"""What one serving process counts and measures, in Prometheus' words."""

from dataclasses import dataclass

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

# Every part that an answer can go on without.
DEGRADABLE = ("features", "retrieval", "ranker", "rerank", "seen", "blocked", "interleaving", "recommender")
STAGES = ("user", "retrieve", "filter", "features", "rank", "rerank")
# What an answer stood on instead; beside them `<stage>_failed` and `<stage>_late` say why.
RUNGS = ("last_known_row", "no_row", "popular", "retrieval_order", "ranked_order", "empty")
CACHE_OUTCOMES = ("hit", "miss", "evicted")
# Fine around the promise of 10 ms, so that p50 and p99 of a canary can be read off the buckets.
_MILLISECONDS = (1, 2, 3, 4, 5, 6.5, 8, 10, 12.5, 15, 20, 30, 50, 100, 250, 500, 1_000, 5_000)
_STAGE_MILLISECONDS = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 25, 50, 100, 500)


@dataclass(frozen=True)
class Metrics:
    """One process's metrics. Labels in brackets."""

    requests: Counter  # [code]
    degraded: Counter  # [part]
    rungs: Counter  # [rung]
    duration: Histogram
    stage: Histogram  # [stage]
    candidates: Counter  # [source]
    cache: Counter  # [outcome]
    in_flight: Gauge
    refused: Counter  # [reason]
    events: Counter  # [outcome]
    log_dropped: Counter
    rules: Counter  # [outcome]
    item_table_age: Gauge
    item_table: Counter  # [outcome]
    feature_freshness: Gauge
    blocked_items: Gauge
    blocked: Counter  # [outcome]


def register_metrics(registry: CollectorRegistry | None = None) -> Metrics:
    """Register the metrics, by default where `/metrics` finds them."""
    registry = REGISTRY if registry is None else registry
    # When a series began is of use to nobody who scrapes, and doubles the text.
    disable_created_metrics()  # type: ignore[no-untyped-call]

    def counter(name: str, meaning: str, *labels: str) -> Counter:
        return Counter(name, meaning, labels, registry=registry)

    def gauge(name: str, meaning: str) -> Gauge:
        return Gauge(name, meaning, registry=registry)

    def histogram(name: str, meaning: str, milliseconds: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(name, meaning, labels, buckets=[ms / 1_000 for ms in milliseconds], registry=registry)

    metrics = Metrics(
        requests=counter("recommend_requests_total", "Answers of POST /recommend by status code", "code"),
        degraded=counter("recommend_degraded_total", "Answers that went on without a part", "part"),
        rungs=counter("recommend_fallback_total", "Steps down the ladder of fallbacks", "rung"),
        duration=histogram("recommend_duration_seconds", "Body read to answer made", _MILLISECONDS),
        stage=histogram("recommend_stage_seconds", "Time in each stage of an answer", _STAGE_MILLISECONDS, "stage"),
        candidates=counter("recommend_candidates_total", "Candidates before ranking by where from", "source"),
        cache=counter("slate_cache_total", "Look-ups and evictions of the slate cache", "outcome"),
        in_flight=gauge("requests_in_flight", "Requests that are being answered"),
        refused=counter("requests_refused_total", "Requests turned away before their body was read", "reason"),
        events=counter("events_received_total", "Events of POST /events by outcome", "outcome"),
        log_dropped=counter("request_log_dropped_rows_total", "Rows that the request log could not keep"),
        rules=counter("rules_reloads_total", "New versions of the rules file", "outcome"),
        item_table_age=gauge("item_table_age_seconds", "Time since the moment that the item table describes"),
        item_table=counter("item_table_refreshes_total", "New item snapshots by outcome", "outcome"),
        feature_freshness=gauge("feature_freshness_seconds", "Time since the last event that the batch state holds"),
        blocked_items=gauge("blocked_items", "Items on the blocked list"),
        blocked=counter("blocked_list_reloads_total", "New versions of the blocked list", "outcome"),
    )
    _start_at_zero(metrics)
    return metrics


def _start_at_zero(metrics: Metrics) -> None:
    # A series that appears with its first error cannot be told from one that nobody counts, so all start at 0.
    reloads = ("loaded", "refused")
    labelled: tuple[tuple[Counter | Histogram, tuple[str, ...]], ...] = (
        (metrics.requests, ("200", "400", "500")),
        (metrics.degraded, DEGRADABLE),
        (metrics.rungs, RUNGS),
        (metrics.stage, STAGES),
        (metrics.cache, CACHE_OUTCOMES),
        (metrics.refused, ("key", "rate")),
        (metrics.events, ("accepted", "duplicate", "not_stored")),
        (metrics.rules, reloads),
        (metrics.item_table, reloads),
        (metrics.blocked, reloads),
    )
    for metric, names in labelled:
        for name in names:
            metric.labels(name)
