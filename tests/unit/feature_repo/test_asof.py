"""The same cases through Feast's own DuckDB store and through ours."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.types import Int64

from feature_repo.store.open import quiet_feast

OURS, FEASTS = "feature_repo.store.asof.AsofOfflineStore", "duckdb"
T0 = datetime(2026, 1, 1, tzinfo=UTC)


def hours(count: float) -> datetime:
    return T0 + timedelta(hours=count)


def store_with(
    folder: Path, kind: str, rows: list[dict[str, Any]], *, ttl: timedelta, created: bool = False
) -> FeatureStore:
    schema = pa.schema([("user_id", pa.string()), ("at", pa.timestamp("us", "UTC")), ("value", pa.int64())])
    if created:
        schema = schema.append(pa.field("written", pa.timestamp("us", "UTC")))
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), folder / "values.parquet")
    source = FileSource(
        name="values_table",
        path=str(folder / "values.parquet"),
        timestamp_field="at",
        created_timestamp_column="written" if created else "",
    )
    user = Entity(name="user", join_keys=["user_id"], value_type=ValueType.STRING)
    view = FeatureView(
        name="values", entities=[user], ttl=ttl, schema=[Field(name="value", dtype=Int64)], source=source
    )
    config = RepoConfig(
        project="conformance",
        provider="local",
        registry=str(folder / f"{len(kind)}.db"),
        offline_store={"type": kind},
        online_store=None,
        entity_key_serialization_version=3,
        repo_path=folder,
    )
    store = FeatureStore(config=config)
    store.apply([user, view])
    return store


ROWS = [
    {"user_id": "ann", "at": hours(0), "value": 1, "written": hours(0)},
    {"user_id": "ann", "at": hours(2), "value": 2, "written": hours(2)},
    {"user_id": "ann", "at": hours(2), "value": 3, "written": hours(3)},  # the same moment, written again
    {"user_id": "bob", "at": hours(1), "value": 4, "written": hours(9)},
]
ASKED = [
    ("ann", hours(2)),  # exactly at a row's time
    ("ann", hours(2) - timedelta(microseconds=1)),
    ("bob", hours(1.5)),
    ("ann", hours(-1)),  # before the first row
    ("nobody", hours(2)),
    ("ann", hours(26)),  # exactly a day after the last row
    ("ann", hours(26) + timedelta(microseconds=1)),
    ("ann", hours(2)),  # the same again
]


def answers(store: FeatureStore, **options: Any) -> list[tuple[Any, ...]]:
    frame = pd.DataFrame(
        {
            "place": range(len(ASKED)),
            "user_id": [user for user, _ in ASKED],
            "event_timestamp": pd.to_datetime([t for _, t in ASKED], utc=True).astype("datetime64[us, UTC]"),
        }
    )
    table = store.get_historical_features(entity_df=frame, features=["values:value"], **options).to_arrow()
    value = "values__value" if options.get("full_feature_names") else "value"
    return sorted(zip(table["place"].to_pylist(), table["user_id"].to_pylist(), table[value].to_pylist(), strict=True))


@pytest.mark.filterwarnings("ignore:fetch_arrow_table:DeprecationWarning")
@pytest.mark.parametrize("ttl", [timedelta(0), timedelta(days=1), timedelta(hours=1)])
@pytest.mark.parametrize(
    "options",
    [{}, {"full_feature_names": True}, {"filter_by_created_timestamp": True}],
    ids=lambda o: next(iter(o), "plain"),
)
def test_both_stores_give_the_same_features(tmp_path: Path, ttl: timedelta, options: dict[str, Any]) -> None:
    quiet_feast()
    ours = store_with(tmp_path, OURS, ROWS, ttl=ttl, created=True)
    feasts = store_with(tmp_path, FEASTS, ROWS, ttl=ttl, created=True)

    assert answers(ours, **options) == answers(feasts, **options)


def test_a_row_is_seen_from_its_own_time_on_and_until_its_time_to_live(tmp_path: Path) -> None:
    rows = [row for row in ROWS if row["value"] != 3]
    store = store_with(tmp_path, OURS, rows, ttl=timedelta(days=1))

    assert [value for _, _, value in answers(store)] == [2, 1, 4, None, None, 2, None, 2]


def test_the_answer_keeps_the_order_and_the_columns_of_the_entity_frame(tmp_path: Path) -> None:
    store = store_with(tmp_path, OURS, ROWS, ttl=timedelta(0))
    frame = pd.DataFrame({"user_id": ["bob", "ann"], "event_timestamp": [hours(5), hours(5)], "note": ["x", "y"]})

    table = store.get_historical_features(entity_df=frame, features=["values:value"]).to_arrow()

    assert table.column_names == ["user_id", "event_timestamp", "note", "value"]
    assert table["user_id"].to_pylist() == ["bob", "ann"]
    assert table["note"].to_pylist() == ["x", "y"]


def test_a_query_in_place_of_a_frame_is_refused_with_a_sentence(tmp_path: Path) -> None:
    store = store_with(tmp_path, OURS, ROWS, ttl=timedelta(0))

    with pytest.raises(NotImplementedError, match="expected an entity frame as a pandas DataFrame; got str"):
        store.get_historical_features(entity_df="SELECT 1", features=["values:value"])
