"""A log of real requests against point-in-time retrieval: clean, late, and broken in each way that a log can be."""

import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from served_shop import NOW, ServedShop, build_served_shop

from feature_repo.store.coverage import COVERAGE, write_coverage
from monitoring.skew.job import judge_log
from monitoring.skew.settings import SkewPolicy

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore:On demand feature view is an experimental feature:RuntimeWarning"),
    pytest.mark.filterwarnings("ignore:fetch_arrow_table:DeprecationWarning"),
]
FEW = SkewPolicy(threshold=0.2, minimum_requests=20)
HOURS_LATE = timedelta(hours=3)

Array = np.ndarray[Any, Any]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedShop]:
    folder = tmp_path_factory.mktemp("served")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BUILD", str(folder / "build"))
        patch.setenv("STORE_URL", str(folder / "build" / "store"))
        patch.delenv("RECOMMENDER_PSEUDONYM_KEY", raising=False)
        yield build_served_shop(folder)


@pytest.fixture
def shop(built: ServedShop) -> ServedShop:
    for file in built.workspace.request_log.glob("*.parquet"):
        file.unlink()
    return built


def judged(shop: ServedShop, policy: SkewPolicy = FEW, *, version: str = "1") -> dict[str, Any]:
    return dict(judge_log(shop.workspace, shop.bundle, policy, version=version, now=NOW))


def counts(report: dict[str, Any], kind: str) -> dict[str, int]:
    return {f["feature"]: f[kind]["count"] for f in report["features"] if f[kind]["count"]}


def late(shop: ServedShop) -> Callable[[int], datetime]:
    return lambda number: shop.filled + HOURS_LATE + timedelta(minutes=number)


def changed(feature: str, by: Callable[[Array], Array]) -> Callable[[Array, tuple[str, ...]], Array]:
    def change(matrix: Array, names: tuple[str, ...]) -> Array:
        found = matrix.copy()
        found[:, names.index(feature)] = by(found[:, names.index(feature)])
        return found

    return change


def test_a_clean_log_has_no_differing_value_in_any_feature(shop: ServedShop) -> None:
    shop.serve(320, at=lambda _: shop.filled)

    report = judged(shop, SkewPolicy())

    assert (report["verdict"], report["requests"], report["left_out"]) == ("PASS", 320, {})
    assert counts(report, "differing") == {}
    compared = {f["feature"] for f in report["features"]}
    assert {"user_event_count", "history_items", "taste_maker", "age"} <= compared  # the user's row
    assert {"user_recency_days", "user_segment", "hour", "item_users_7d", "item:price", "item_value_mean"} <= compared
    assert {"pair_events", "pair_due", "affinity_kinds"} <= compared  # of user and item
    assert report["not_compared"][-1] == "context:device"
    assert json.loads((shop.workspace.reports / "skew.json").read_text()) == report
    assert "Skew of version 1" in (shop.workspace.reports / "skew.html").read_text()


def test_a_stale_store_gives_late_values_and_no_wrong_ones(shop: ServedShop) -> None:
    shop.serve(30, at=late(shop))

    report = judged(shop)

    assert report["verdict"] == "PASS"
    assert counts(report, "wrong") == {}
    assert counts(report, "late")["item_events"] > 20
    assert counts(report, "late")["user_event_count"] > 3
    # The first state that is missing came after the stores were filled.
    tables = report["lateness"]["item_tables"]
    assert 0 < tables["median_seconds"] <= tables["p99_seconds"] <= (HOURS_LATE + timedelta(hours=1)).total_seconds()
    strict = judged(shop, FEW.model_copy(update={"late_days": 0.01}))
    assert strict["verdict"] == "FAIL"
    assert "more than 0.01 days behind" in strict["reasons"][0]


def test_who_asks_about_another_time_can_expect_what_the_stores_say_they_hold(shop: ServedShop) -> None:
    strict = FEW.model_copy(update={"late_days": 0.01})
    shop.serve(30, at=late(shop), arrived=NOW)

    as_stated = judged(shop, strict)
    write_coverage(shop.workspace, until=shop.filled + 2 * HOURS_LATE)
    try:
        claimed = judged(shop, strict)
        (shop.workspace.snapshots / COVERAGE).unlink()
        unstated = judged(shop, strict)
    finally:
        write_coverage(shop.workspace, until=shop.filled)

    assert as_stated["verdict"] == "PASS"
    assert counts(as_stated, "late")["item_events"] > 20
    assert "30 requests ask about another time than that of their arrival" in as_stated["reasons"][1]
    assert as_stated["reasons"][1].endswith(f"all events before {shop.filled:%Y-%m-%d %H:%M:%S}")
    # Stores that say they hold more than they do are behind, and so are those that say nothing.
    assert [report["verdict"] for report in (claimed, unstated)] == ["FAIL", "FAIL"]
    assert "more than 0.01 days behind" in claimed["reasons"][0]


@pytest.mark.parametrize(
    ("feature", "by"),
    [
        ("user_recency_days", lambda column: column + 1 / 24),  # a function of another time zone
        ("item_events", np.zeros_like),  # an empty column, and the one that tells the state
        ("pair_events", lambda column: column + 1),
    ],
)
def test_a_broken_feature_is_found_alone_although_the_stores_are_late(
    shop: ServedShop, feature: str, by: Callable[[Array], Array]
) -> None:
    shop.serve(30, at=late(shop), change_matrix=changed(feature, by))

    report = judged(shop)

    assert report["verdict"] == "FAIL"
    assert list(counts(report, "wrong")) == [feature]
    assert counts(report, "late")["item_events_7d"] > 20


def test_a_value_of_another_type_is_wrong(shop: ServedShop) -> None:
    shop.serve(30, at=lambda _: shop.filled, change_row=lambda row: {n: _text(n, v) for n, v in row.items()})

    report = judged(shop)

    assert report["verdict"] == "FAIL"
    assert list(counts(report, "wrong")) == ["age"]


def _text(name: str, value: Any) -> Any:
    return str(value) if name == "age" else value


@pytest.mark.filterwarnings("ignore:invalid value encountered in log1p:RuntimeWarning")
def test_requests_about_a_past_that_the_stores_are_beyond_are_no_evidence(shop: ServedShop) -> None:
    shop.serve(25, at=lambda _: shop.filled - timedelta(days=2))

    report = judged(shop)

    assert report["verdict"] == "INCONCLUSIVE"
    assert report["left_out"] == {"about a moment that the stores had passed": 25}


def test_an_empty_log_one_row_and_a_log_of_another_version_are_inconclusive(shop: ServedShop) -> None:
    empty = judged(shop)
    shop.serve(1, at=lambda _: shop.filled)
    one, other = judged(shop), judged(shop, version="2")

    assert [found["verdict"] for found in (empty, one, other)] == ["INCONCLUSIVE"] * 3
    assert "the request log is empty" in empty["reasons"][0]
    assert "1 requests could be compared" in one["reasons"][0]
    assert "none of 1 logged requests can be compared for version 2: 1 of other versions" in other["reasons"][0]


def test_requests_that_were_logged_twice_are_never_green(shop: ServedShop) -> None:
    shop.serve(30, at=lambda _: shop.filled)
    shop.serve(5, at=lambda _: shop.filled, name="one-more")
    file = shop.workspace.request_log / "one.parquet"
    pq.write_table(pq.read_table(file).slice(0, 5), file.with_name("two.parquet"))

    report = judged(shop)

    assert report["verdict"] == "INCONCLUSIVE"
    assert "5 rows of the request log repeat a request_id" in report["reasons"][0]
    assert report["left_out"] == {"copies of a request that was logged before": 5}


def test_a_column_that_is_missing_or_has_changed_its_type_is_named(shop: ServedShop) -> None:
    shop.serve(30, at=lambda _: shop.filled)
    file = shop.workspace.request_log / "one.parquet"
    table = pq.read_table(file)

    pq.write_table(table.drop_columns(["features"]), file)
    missing = judged(shop)
    place = table.column_names.index("moment")
    pq.write_table(table.set_column(place, "moment", table["moment"].cast(pa.string())), file)
    retyped = judged(shop)

    assert [found["verdict"] for found in (missing, retyped)] == ["INCONCLUSIVE"] * 2
    assert missing["reasons"][0] == "the request log misses the column features, first in one.parquet"
    assert retyped["reasons"][0].startswith("moment of the request log is timestamp[us, tz=UTC]; got string")


def test_rows_of_another_shape_or_without_a_user_row_are_never_green(shop: ServedShop) -> None:
    shop.serve(30, at=lambda _: shop.filled)
    file = shop.workspace.request_log / "one.parquet"
    rows = pq.read_table(file).to_pylist()
    rows[0]["features"][3] = rows[0]["features"][3][:-1]
    rows[1]["user_features"] = None
    schema = pq.read_schema(file)
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), file)

    report = judged(shop)

    assert (report["verdict"], report["requests"]) == ("INCONCLUSIVE", 28)
    assert report["left_out"] == {"without a user row": 1, "with other features than the version has": 1}


def test_people_whom_no_table_knows_or_whose_events_are_not_there_yet_are_left_out(shop: ServedShop) -> None:
    from serving.events import Event
    from serving.inbox import Inbox

    shop.serve(61, at=lambda _: shop.filled, change_row=lambda row: row or {"user_event_count": 3})
    received = shop.workspace.received
    moment = shop.filled - timedelta(hours=1)
    Inbox(received, remembered=10).receive([Event("new", "p7", "t1", moment, "view", None, None, None, None, {})])
    try:
        report = judged(shop)
    finally:
        for file in received.glob("*.parquet"):
            file.unlink()

    assert report["verdict"] == "PASS"
    assert report["left_out"] == {
        "of users that no table knows, served with features": 1,
        "of users with received events that the offline store does not have yet: run `make data`": 1,
    }
