"""The same questions to Feast on Spark and to our ASOF store: the same answers, cell by cell."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, PushSource, RepoConfig, ValueType
from feast.types import Array, Int64, String
from spark_session import needs_spark, running_spark

from feature_repo.core.errors import JoinRefused
from feature_repo.store.open import quiet_feast

pytestmark = [
    pytest.mark.integration,
    needs_spark,
    pytest.mark.filterwarnings("ignore:fetch_arrow_table:DeprecationWarning"),
]

T0 = datetime(2026, 1, 1, tzinfo=UTC)
# Two of them are the same number as a float.
LARGE = 2**60
MICROSECOND = timedelta(microseconds=1)
FEATURES = ["counts:total", "counts:days", "cities:names"]


@pytest.fixture(scope="module", autouse=True)
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as settings:
        yield from running_spark(tmp_path_factory.mktemp("spark"), settings)


def hours(count: float) -> datetime:
    return T0 + timedelta(hours=count)


def write_tables(folder: Path) -> None:
    moment = pa.timestamp("us", "UTC")
    counts = [
        {"user_id": "ann", "at": hours(0), "total": LARGE, "days": [1, LARGE + 1]},
        {"user_id": "ann", "at": hours(2), "total": LARGE + 1, "days": []},
        {"user_id": "bob 😀", "at": hours(1), "total": None, "days": None},
    ]
    cities = [
        {"user_id": "ann", "at": hours(0), "names": ["Rome"], "written": hours(0)},
        {"user_id": "ann", "at": hours(2), "names": ["Oslo"], "written": hours(2)},
        {"user_id": "ann", "at": hours(2), "names": ["Łódź", "Rome"], "written": hours(3)},  # written again, later
    ]
    key = [("user_id", pa.string()), ("at", moment)]
    count_columns = pa.schema([*key, ("total", pa.int64()), ("days", pa.list_(pa.int64()))])
    city_columns = pa.schema([*key, ("names", pa.list_(pa.string())), ("written", moment)])
    pq.write_table(pa.Table.from_pylist(counts, schema=count_columns), folder / "counts.parquet")
    pq.write_table(pa.Table.from_pylist(cities, schema=city_columns), folder / "cities.parquet")


def store_on(folder: Path, kind: str, *, ttl: timedelta) -> FeatureStore:
    """One repository with one offline store: the definitions are the same for both."""
    user = Entity(name="user", join_keys=["user_id"], value_type=ValueType.STRING)
    counts = FileSource(name="counts_table", path=str(folder / "counts.parquet"), timestamp_field="at")
    cities = FileSource(
        name="cities_table",
        path=str(folder / "cities.parquet"),
        timestamp_field="at",
        created_timestamp_column="written",
    )
    views = [
        FeatureView(
            name="counts",
            entities=[user],
            ttl=ttl,
            schema=[Field(name="total", dtype=Int64), Field(name="days", dtype=Array(Int64))],
            source=PushSource(name="counts_push", batch_source=counts),
        ),
        FeatureView(
            name="cities",
            entities=[user],
            ttl=ttl,
            schema=[Field(name="names", dtype=Array(String))],
            source=cities,
        ),
    ]
    quiet_feast()
    name = kind.split(".")[2]
    config = RepoConfig(
        project="conformance",
        provider="local",
        registry=str(folder / f"{name}_registry.db"),
        offline_store={"type": kind},
        online_store={"type": "sqlite", "path": str(folder / f"{name}_online.db")},
        entity_key_serialization_version=3,
        repo_path=folder,
    )
    store = FeatureStore(config=config)
    store.apply([user, *views])
    return store


ASOF, SPARK = "feature_repo.store.asof.AsofOfflineStore", "feature_repo.store.spark.SparkOfflineStore"
ASKED = [
    ("bob 😀", hours(1.5)),
    ("ann", hours(2)),  # exactly at a row's time
    ("ann", hours(2) - MICROSECOND),
    ("ann", hours(-1)),  # before the first row
    ("nobody", hours(2)),
    ("ann", hours(26)),  # exactly a day after the last row
    ("ann", hours(26) + MICROSECOND),
    ("ann", hours(2)),  # the same again
]


def asked() -> pd.DataFrame:
    moments = pd.to_datetime([t for _, t in ASKED], utc=True).astype("datetime64[us, UTC]")
    return pd.DataFrame({"user_id": [user for user, _ in ASKED], "note": "x", "event_timestamp": moments})


@pytest.mark.parametrize(
    ("days", "options"),
    [(0, {}), (1, {}), (0, {"full_feature_names": True}), (1, {"filter_by_created_timestamp": True})],
    ids=["no time to live", "a day", "full names", "known by then"],
)
def test_spark_answers_as_the_asof_store_does(tmp_path: Path, days: int, options: dict[str, Any]) -> None:
    write_tables(tmp_path)
    on_spark, here = (store_on(tmp_path, kind, ttl=timedelta(days=days)) for kind in (SPARK, ASOF))

    answer = on_spark.get_historical_features(entity_df=asked(), features=FEATURES, **options).to_arrow()

    expected = here.get_historical_features(entity_df=asked(), features=FEATURES, **options).to_arrow()
    assert answer.column_names == expected.column_names
    assert answer.cast(expected.schema).to_pylist() == expected.to_pylist()
    assert [kind for kind in answer.schema.types if pa.types.is_integer(kind)] == [pa.int64()]


def test_what_spark_materializes_is_what_the_asof_store_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_tables(tmp_path)
    rows = [{"user_id": user} for user in ("ann", "bob 😀", "nobody")]
    found = []

    for kind in (SPARK, ASOF):
        store = store_on(tmp_path, kind, ttl=timedelta(0))
        store.materialize(start_date=hours(-24), end_date=hours(24))
        found.append(store.get_online_features(features=FEATURES, entity_rows=rows).to_dict())

    capsys.readouterr()
    assert found[0] == found[1]
    assert found[0]["names"] == [["Łódź", "Rome"], None, None]


def test_a_query_in_place_of_a_frame_is_refused_with_a_sentence(tmp_path: Path) -> None:
    write_tables(tmp_path)
    store = store_on(tmp_path, SPARK, ttl=timedelta(0))

    with pytest.raises(JoinRefused, match="expected an entity frame as a pandas DataFrame; got str"):
        store.get_historical_features(entity_df="SELECT 1", features=FEATURES)
