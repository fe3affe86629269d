"""`python -m monitoring business`: the request log and the events that followed, as gauges in business.prom.

A click is any rewarded event on an item of a slate, within the attribution window after its request. A conversion is
one of the types that weigh most in the data set; where all weigh alike, there is none to tell apart and no such figure.
Requests whose window is not over yet are left out, so every figure is complete and lies one window back.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from prometheus_client import CollectorRegistry, Gauge, write_to_textfile
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from feature_repo.core.errors import NotMeasurable, SettingsRefused
from feature_repo.core.workspace import Workspace
from feature_repo.dataset.prepare import active_dataset
from feature_repo.dataset.received import read_received
from feature_repo.dataset.request_log import read_request_log
from monitoring.experiments.impressions import impressions

FILE = "business.prom"
LABELS = ["variant", "model_version"]
READ = ("request_id", "received_at", "moment", "user_id", "variant", "model_version", "slate")
OF_EVENTS = ["event_id", "request_id", "item_id", "timestamp", "event_type", "value"]
MOMENT = pa.timestamp("us", "UTC")


class BusinessSettings(BaseModel):
    """Which requests count, and what follows them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    window_hours: float = Field(24, gt=0, description="hours of requests that the figures are of")
    attribution_hours: float = Field(1, gt=0, description="hours after a request in which an event is its doing")

    @property
    def attribution(self) -> timedelta:
        return timedelta(hours=self.attribution_hours)


@dataclass(frozen=True)
class Figures:
    """Of one variant and model version. `conversions` is None where no event type is more than a click."""

    requests: int
    impressions: int
    clicks: int
    conversions: int | None
    coverage: float  # share of the catalogue that was shown to anybody


def business_settings(window_hours: float, attribution_hours: float) -> BusinessSettings:
    """Settings from a command line.

    Raises:
        SettingsRefused: a number breaks a rule.
    """
    try:
        return BusinessSettings(window_hours=window_hours, attribution_hours=attribution_hours)
    except ValidationError as error:
        first = error.errors()[0]
        raise SettingsRefused(f"{first['loc'][0]}: {first['msg']}; got {first['input']!r}") from error


def write_business(workspace: Workspace, settings: BusinessSettings, *, now: datetime) -> Path:
    """Write the figures of the window that ends one attribution window before `now`.

    Raises:
        NotMeasurable: nothing was served in it: no figure is better than one that looks like zero clicks.
    """
    figures = business_figures(workspace, settings, now=now)
    registry = CollectorRegistry()
    for name, meaning in MEANINGS.items():
        gauge = Gauge(f"business_{name}", meaning, LABELS, registry=registry)
        for labels, found in figures.items():
            value = _value(name, found)
            if value is not None:
                gauge.labels(*labels).set(value)
    Gauge("business_window_seconds", "Length of the window of the figures", registry=registry).set(
        settings.window_hours * 3_600
    )
    made = Gauge("business_made_timestamp_seconds", "When the figures were made", registry=registry)
    made.set(now.timestamp())
    workspace.reports.mkdir(parents=True, exist_ok=True)
    path = workspace.reports / FILE
    write_to_textfile(str(path), registry)
    return path


MEANINGS = {
    "requests": "Requests in the window",
    "impressions": "Items shown in the window",
    "clicks": "Items shown that a rewarded event followed",
    "conversions": "Items shown that an event of the greatest weight followed",
    "click_rate": "Clicks by impressions",
    "conversion_rate": "Conversions by impressions",
    "catalogue_coverage": "Share of the catalogue that was shown to anybody",
}


def business_figures(
    workspace: Workspace, settings: BusinessSettings, *, now: datetime
) -> Mapping[tuple[str, str], Figures]:
    """Figures by (variant, model version)."""
    log = _in_window(read_request_log(workspace, READ), settings, now)
    if not log.num_rows:
        raise NotMeasurable(
            f"business figures need requests of the {settings.window_hours:g} hours before the attribution window of "
            f"{settings.attribution_hours:g} hours; got none: serve some, and wait for what they lead to"
        )
    weights = active_dataset(workspace).weights
    rewarded = [kind for kind, weight in weights.items() if weight > 0]
    most = [kind for kind in rewarded if weights[kind] == max(weights.values())]
    events = _events(workspace)
    clicked, bought = (
        impressions(log, events, window=settings.attribution, now=now, rewarded=kinds) for kinds in (rewarded, most)
    )
    catalogue = _catalogue(workspace)
    return {
        labels: _figures(_of(clicked, labels), _of(bought, labels) if most != rewarded else None, catalogue)
        for labels in _labels(clicked)
    }


def _in_window(log: pa.Table, settings: BusinessSettings, now: datetime) -> pa.Table:
    end = now - settings.attribution
    start = end - timedelta(hours=settings.window_hours)
    # By when they came in: a replayed request asks about another moment, and its figures are of today.
    log = log.set_column(log.column_names.index("moment"), "moment", log["received_at"].cast(MOMENT))
    stamps = log["moment"]
    inside = pc.and_(pc.greater(stamps, pa.scalar(start, MOMENT)), pc.less_equal(stamps, pa.scalar(end, MOMENT)))
    return log.filter(inside)


def _events(workspace: Workspace) -> pa.Table:
    """What arrived over HTTP and, where the log was made since, what it holds of answers to requests."""
    tables = [read_received(workspace).select(OF_EVENTS)]
    if workspace.events.exists():
        logged = pq.read_table(workspace.events, columns=OF_EVENTS)
        tables.append(logged.filter(pc.is_valid(logged["request_id"])))
    schema = tables[0].schema
    return pa.concat_tables([table.cast(schema) for table in tables])


def _catalogue(workspace: Workspace) -> int:
    events = pq.read_table(workspace.events, columns=["item_id"])
    return int(pc.count_distinct(events["item_id"]).as_py())


def _labels(table: pa.Table) -> list[tuple[str, str]]:
    groups = table.group_by(LABELS).aggregate([])
    return sorted(zip(*(groups[name].to_pylist() for name in LABELS), strict=True))


def _of(table: pa.Table, labels: tuple[str, str]) -> pa.Table:
    chosen = [pc.equal(table[name], value) for name, value in zip(LABELS, labels, strict=True)]
    return table.filter(pc.and_(*chosen))


def _figures(clicked: pa.Table, bought: pa.Table | None, catalogue: int) -> Figures:
    return Figures(
        requests=pc.count_distinct(clicked["request_id"]).as_py(),
        impressions=clicked.num_rows,
        clicks=pc.sum(clicked["clicked"]).as_py() or 0,
        conversions=None if bought is None else pc.sum(bought["clicked"]).as_py() or 0,
        coverage=min(1.0, pc.count_distinct(clicked["item_id"]).as_py() / max(catalogue, 1)),
    )


def _value(name: str, found: Figures) -> float | None:
    rates = {"click_rate": found.clicks, "conversion_rate": found.conversions}
    if name in rates:
        counted = rates[name]
        return None if counted is None else counted / found.impressions
    value: float | None = found.coverage if name == "catalogue_coverage" else getattr(found, name)
    return value
