"""What the four dashboards show: service, features, model, business. Content only; grafana.py gives it its form."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Query:
    """One line of a panel; `legend` is Grafana's, with labels in double braces."""

    expr: str
    legend: str


@dataclass(frozen=True)
class Panel:
    """One panel. `unit` is a name of Grafana's; a panel that `counts` shows the last value and no course."""

    title: str
    unit: str
    queries: tuple[Query, ...]
    about: str = ""
    counts: bool = False


@dataclass(frozen=True)
class Board:
    """One dashboard, its panels in the order in which they are read."""

    uid: str
    title: str
    about: str
    panels: tuple[Panel, ...]


def _one(title: str, unit: str, expr: str, legend: str, about: str = "", *, counts: bool = False) -> Panel:
    return Panel(title, unit, (Query(expr, legend),), about, counts)


SERVICE = Board(
    "recommender-service",
    "Recommender: service",
    "Whether it answers, how fast, and what it goes on without.",
    (
        _one("Up", "none", 'up{job="recommender"}', "{{instance}}", counts=True),
        _one("Requests", "reqps", "job:recommend_requests:rate5m", "{{job}}", counts=True),
        _one("Answers by code", "reqps", "sum by (code) (rate(recommend_requests_total[5m]))", "{{code}}"),
        Panel(
            "Time to answer",
            "s",
            (
                Query("job:recommend_duration_seconds:p50_5m", "p50"),
                Query("job:recommend_duration_seconds:p99_5m", "p99"),
            ),
            "From the body read to the answer made.",
        ),
        _one(
            "Time by stage, p99",
            "s",
            "histogram_quantile(0.99, sum by (stage, le) (rate(recommend_stage_seconds_bucket[5m])))",
            "{{stage}}",
            "A slow user stage is the online store.",
        ),
        _one("Requests in flight", "none", "sum by (instance) (requests_in_flight)", "{{instance}}"),
        _one("Degraded answers by part", "percentunit", "job_part:recommend_degraded:ratio_rate5m", "{{part}}"),
        _one("Fallbacks by rung", "percentunit", "job_rung:recommend_fallback:ratio_rate5m", "{{rung}}"),
        _one("Turned away", "reqps", "sum by (reason) (rate(requests_refused_total[5m]))", "{{reason}}"),
        _one("Events received", "cps", "sum by (outcome) (rate(events_received_total[5m]))", "{{outcome}}"),
        _one("Lost log rows", "none", "sum(increase(request_log_dropped_rows_total[1h]))", "in an hour"),
        _one("Memory", "bytes", 'process_resident_memory_bytes{job="recommender"}', "{{instance}}"),
        _one("Processor", "percentunit", 'rate(process_cpu_seconds_total{job="recommender"}[5m])', "{{instance}}"),
    ),
)

FEATURES = Board(
    "recommender-features",
    "Recommender: features",
    "How old what it knows is, and whether reads find it.",
    (
        _one("Age of the item table", "s", "item_table_age_seconds", "{{instance}}", counts=True),
        _one("Since the last known event", "s", "feature_freshness_seconds", "{{instance}}", counts=True),
        _one(
            "Answers that do not know their user",
            "percentunit",
            'job_part:recommend_degraded:ratio_rate5m{part="features"}',
            "without features",
        ),
        _one(
            "Rows of users that were not read",
            "percentunit",
            'job_rung:recommend_fallback:ratio_rate5m{rung=~"last_known_row|no_row"}',
            "{{rung}}",
        ),
        _one("Item tables", "none", "increase(item_table_refreshes_total[1h])", "{{outcome}} in an hour"),
        Panel(
            "Rules and blocked list",
            "none",
            (
                Query("increase(rules_reloads_total[1h])", "rules {{outcome}}"),
                Query("increase(blocked_list_reloads_total[1h])", "blocked list {{outcome}}"),
            ),
            "New versions in an hour; a refused one leaves the old one in force.",
        ),
        _one("Blocked items", "none", "blocked_items", "{{instance}}", counts=True),
        _one("Slate cache", "cps", "sum by (outcome) (rate(slate_cache_total[5m]))", "{{outcome}}"),
    ),
)

MODEL = Board(
    "recommender-model",
    "Recommender: model",
    "What the reports say, and where slates come from.",
    (
        Panel(
            "Verdicts",
            "none",
            (Query("report_verdict == 1", "{{report}}: {{verdict}}"),),
            "Of the last report of each kind.",
            counts=True,
        ),
        _one(
            "Age of the reports",
            "s",
            "time() - report_made_timestamp_seconds",
            "{{report}}",
            counts=True,
        ),
        _one(
            "Quality in replay",
            "none",
            'replay_quality{metric=~"ndcg@10|recall@10"}',
            "{{model}} v{{model_version}} {{metric}}",
        ),
        _one(
            "Coverage in replay",
            "percentunit",
            'replay_quality{metric="coverage"}',
            "{{model}} v{{model_version}}",
        ),
        _one("Drift: columns by what came of them", "none", "recommender_drift_columns", "{{state}}", counts=True),
        _one(
            "Drift: the columns nearest to their threshold",
            "percentunit",
            "topk(10, abs(recommender_drift_shift) / recommender_drift_shift_threshold)",
            "{{column}}",
            "Shift of the mean by the shift that quiet windows stay within; 100 % is a drifted column.",
        ),
        _one("Candidates by source", "cps", "sum by (source) (rate(recommend_candidates_total[5m]))", "{{source}}"),
        _one(
            "Popular items instead of personal ones",
            "percentunit",
            'job_rung:recommend_fallback:ratio_rate5m{rung="popular"}',
            "{{job}}",
        ),
        _one("Reports that cannot be read", "none", 'report_unreadable{file!=""}', "{{file}}", counts=True),
    ),
)

BUSINESS = Board(
    "recommender-business",
    "Recommender: business",
    "What came of what was shown. Figures lie one attribution window back, so that they are complete.",
    (
        _one("Click rate", "percentunit", "business_click_rate", "{{variant}} v{{model_version}}"),
        _one("Conversion rate", "percentunit", "business_conversion_rate", "{{variant}} v{{model_version}}"),
        _one(
            "Coverage of the catalogue", "percentunit", "business_catalogue_coverage", "{{variant}} v{{model_version}}"
        ),
        _one("Click rate by variant", "percentunit", "variant:business_click_rate:ratio", "{{variant}}"),
        Panel(
            "Shown, clicked, converted",
            "none",
            (
                Query("sum(business_impressions)", "shown"),
                Query("sum(business_clicks)", "clicked"),
                Query("sum(business_conversions)", "converted"),
            ),
            "In the window of the figures.",
            counts=True,
        ),
        _one("Requests", "none", "business_requests", "{{variant}} v{{model_version}}"),
        _one("Age of the figures", "s", "time() - business_made_timestamp_seconds", "made", counts=True),
        _one("Window of the figures", "s", "business_window_seconds", "length", counts=True),
    ),
)

BOARDS = (SERVICE, FEATURES, MODEL, BUSINESS)
