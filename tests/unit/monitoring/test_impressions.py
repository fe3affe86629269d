"""Joining what was shown to what came of it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from feature_repo.core.errors import NotMeasurable
from feature_repo.dataset.received import RECEIVED_SCHEMA
from feature_repo.dataset.request_log_schema import REQUEST_LOG_SCHEMA
from monitoring.experiments.impressions import IMPRESSIONS, impressions, join

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
LATER = NOON + timedelta(days=1)


def log_of(*rows: dict[str, Any]) -> pa.Table:
    whole = [
        {
            "received_at": NOON,
            "moment": NOON,
            "user_id": "u",
            "variant": "a",
            "model_version": "1",
            "degraded": [],
            "k": len(row["slate"]),
            "candidates": [],
            "sources": [],
            "scores": [],
            "features": [],
            "feature_names": [],
            **row,
        }
        for row in rows
    ]
    return pa.Table.from_pylist(whole, schema=REQUEST_LOG_SCHEMA)


def event(item: str, after: timedelta, **more: Any) -> dict[str, Any]:
    row = {"event_type": "click", "user_id": "ann", "request_id": "r", "context": [], "value": 1.0, **more}
    return {"event_id": f"{item}{after}{row['event_type']}", "item_id": item, "timestamp": NOON + after, **row}


def events_of(*rows: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=RECEIVED_SCHEMA)


def clicked(log: pa.Table, events: pa.Table, *, now: datetime = LATER, window: timedelta = HOUR) -> dict[str, bool]:
    found = impressions(log, events, window=window, now=now, rewarded=["click"])
    return dict(zip(found["item_id"].to_pylist(), found["clicked"].to_pylist(), strict=True))


def test_each_place_of_a_slate_is_a_row_with_its_propensity_and_what_it_earned() -> None:
    log = log_of({"request_id": "r", "slate": ["x", "y"], "propensities": [1.0, 0.25]})
    events = events_of(event("y", timedelta(minutes=5), value=2.5), event("y", timedelta(minutes=9), value=None))

    found = impressions(log, events, window=HOUR, now=LATER, rewarded=["click"])

    assert found.schema == IMPRESSIONS
    assert found.select(["position", "item_id", "propensity", "clicked", "value"]).to_pylist() == [
        {"position": 1, "item_id": "x", "propensity": 1.0, "clicked": False, "value": 0.0},
        {"position": 2, "item_id": "y", "propensity": 0.25, "clicked": True, "value": 2.5},
    ]


@pytest.mark.parametrize(
    ("after", "counts"),
    [(timedelta(0), True), (timedelta(minutes=59), True), (HOUR, False), (-timedelta(seconds=1), False)],
)
def test_an_event_counts_from_the_request_until_before_the_window_ends(after: timedelta, counts: bool) -> None:
    log = log_of({"request_id": "r", "slate": ["x"]})

    assert clicked(log, events_of(event("x", after))) == {"x": counts}


def test_an_event_of_another_type_item_or_request_counts_for_nothing() -> None:
    log = log_of({"request_id": "r", "slate": ["x"]})
    minute = timedelta(minutes=1)
    events = events_of(
        event("x", minute, event_type="view"), event("z", minute), event("x", 2 * minute, request_id="other"),
        event("x", 3 * minute, request_id=None),
    )  # fmt: skip

    assert clicked(log, events) == {"x": False}


def test_an_impression_whose_window_is_not_over_is_left_out_and_counted() -> None:
    log = log_of(
        {"request_id": "old", "slate": ["x"], "moment": NOON},
        {"request_id": "new", "slate": ["y"], "moment": NOON + timedelta(minutes=1)},
    )

    found = join(log, events_of(), window=HOUR, now=NOON + HOUR, rewarded=["click"])

    assert found.impressions["item_id"].to_pylist() == ["x"]
    assert (found.immature, found.duplicated) == (1, 0)


def test_a_request_that_is_logged_twice_and_an_event_that_is_sent_twice_count_once() -> None:
    row = {"request_id": "r", "slate": ["x"]}
    sent = event("x", timedelta(minutes=1), value=3.0)

    found = join(log_of(row, row), events_of(sent, sent), window=HOUR, now=LATER, rewarded=["click"])

    assert found.impressions["value"].to_pylist() == [3.0]
    assert found.duplicated == 1


def test_a_log_from_before_propensities_and_buckets_has_nulls_there() -> None:
    log = log_of({"request_id": "r", "slate": ["x"]}).drop_columns(["propensities"])
    log = log.drop_columns(["bucket"]) if "bucket" in log.column_names else log

    found = impressions(log, events_of(), window=HOUR, now=LATER, rewarded=["click"])

    assert found["propensity"].to_pylist() == [None]
    assert found["bucket"].to_pylist() == [None]


def test_an_empty_slate_and_an_empty_log_give_no_impressions() -> None:
    assert clicked(log_of({"request_id": "r", "slate": []}), events_of()) == {}
    assert clicked(log_of(), events_of()) == {}


def test_a_log_without_a_needed_column_is_refused() -> None:
    with pytest.raises(NotMeasurable, match="request log's column slate"):
        impressions(
            log_of().drop_columns(["slate"]), events_of(), window=HOUR, now=LATER, rewarded=["click"]
        )  # fmt: skip


def test_a_window_of_nothing_is_refused() -> None:
    with pytest.raises(NotMeasurable, match="longer than nothing; got 0:00:00"):
        clicked(log_of(), events_of(), window=timedelta(0))
