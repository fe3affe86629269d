"""Both engines over the same log: every feature table is the same, cell by cell."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from spark_session import needs_spark, running_spark

from feature_repo.dataset.declaration import Dataset, EntityTable, Events
from feature_repo.transforms.build import build_tables

pytestmark = [pytest.mark.integration, needs_spark]

T0 = datetime(2024, 2, 28, tzinfo=UTC)
UTC_MICROSECONDS = pa.timestamp("us", "UTC")
COLUMNS = {"user_id": "u", "item_id": "i", "timestamp": "t"}
SHOP = Dataset(
    name="shop",
    events=Events(path="-", columns={**COLUMNS, "event_type": "e", "value": "v"}, context=("device",)),
    users=EntityTable(path="-", key="u", categorical=("city",), numeric=("age",), valid_from="since"),
    items=EntityTable(
        path="-",
        key="i",
        categorical=("maker",),
        multi=("tags",),
        text=("title",),
        numeric=("price",),
        valid_from="since",
        recorded="written",
    ),
    weights={"view": 1, "buy": 3, "hide": -2},
    repeat_consumption=False,
)
BARE = Dataset(
    name="bare",
    events=Events(path="-", columns={**COLUMNS, "value": "v"}, event_type="view"),
    weights={"view": 1},
    repeat_consumption=True,
)


@pytest.fixture(scope="module", autouse=True)
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as settings:
        yield from running_spark(tmp_path_factory.mktemp("spark"), settings)


def built(engine: str, folder: Path, settings: pytest.MonkeyPatch, dataset: Dataset, **tables: pa.Table | None) -> Path:
    settings.setenv("ENGINE", engine)
    events, users, items = tables["events"], tables.get("users"), tables.get("items")
    build_tables(dataset, events, users=users, items=items, folder=folder / engine)
    return folder / engine


def shop_events(rng: np.random.Generator) -> pa.Table:
    """One user with 1,300 events on 200 days, more than every limit; twenty others; moments that events share."""
    users = np.array(["ann"] * 1300 + [f"bob {n} 😀" for n in rng.integers(20, size=700)])
    count = len(users)
    half_hours = rng.integers(0, 200 * 48, size=count)
    seconds = half_hours * 1800 + rng.integers(0, 2, size=count)
    # The last and the first microsecond of a day.
    micros = seconds * 1_000_000 - rng.integers(0, 2, size=count)
    stamps = pa.array(micros + int(T0.timestamp()) * 1_000_000, pa.int64()).cast(UTC_MICROSECONDS)
    values = np.round(rng.normal(0, 3, size=count), 4)
    table = pa.table(
        {
            "event_id": pa.array([f"{n:06d}" for n in rng.permutation(count)]),
            "user_id": pa.array(users),
            "item_id": pa.array([f"thing-{n}" for n in rng.integers(60, size=count)]),
            "timestamp": stamps,
            "event_type": pa.array(rng.choice(["view", "buy", "hide"], p=[0.7, 0.2, 0.1], size=count)),
            "value": pa.array(values, pa.float64(), mask=rng.random(count) < 0.3),
            "device": pa.array(rng.choice(["phone", "desk 📠"], size=count)),
        }
    )
    return table.sort_by([("timestamp", "ascending"), ("event_id", "ascending")])


def shop_users() -> pa.Table:
    return pa.table(
        {
            "user_id": ["ann", "ann", "bob 1 😀", "bob 2 😀", "nobody"],
            "city": ["Rome", "Oslo", None, "Łódź", "Rome"],
            "age": pa.array([30, 31, None, 0.1, 7.0], pa.float64()),
            "valid_from": pa.array([None, T0 + timedelta(days=40), T0, None, None], UTC_MICROSECONDS),
        }
    )


def shop_items() -> pa.Table:
    """Attributes with corrections, and with rows that say different things about one moment."""
    later = [  # item, maker, tags, price, days from the first event to valid_from and to recorded
        ("thing-3", "m9", ["late"], 1e7, 50, 90),
        ("thing-4", "m8", ["early"], -5e-4, 60, 60),
        ("thing-5", "m1", [], 1e7, 70, 70),
        ("thing-5", "m1", ["x"], 1.5, 70, 70),
        ("thing-6", "m1", ["x", "y"], None, 80, 80),
        ("thing-6", "m1", ["x"], None, 80, 80),
        ("thing-6", "m1", None, None, 80, 80),
        ("never met", None, None, None, 1, 1),
    ]
    since = [None] * 50 + [T0 + timedelta(days=row[4]) for row in later]
    recorded = [None] * 50 + [T0 + timedelta(days=row[5]) for row in later]
    return pa.table(
        {
            "item_id": [f"thing-{n}" for n in range(50)] + [row[0] for row in later],
            "maker": [None if n % 7 == 0 else f"m{n % 5}" for n in range(50)] + [row[1] for row in later],
            "tags": [[["new", "a|b"], [], None, ["old"]][n % 4] for n in range(50)] + [row[2] for row in later],
            "title": ["Thing 🎈"] * 50 + [None] * len(later),
            "price": pa.array([n / 3 for n in range(50)] + [row[3] for row in later], pa.float64()),
            "valid_from": pa.array(since, UTC_MICROSECONDS),
            "recorded": pa.array(recorded, UTC_MICROSECONDS),
        }
    )


def assert_same_tables(one: Path, other: Path) -> None:
    names = sorted(path.name for path in one.iterdir())
    assert sorted(path.name for path in other.iterdir()) == names
    for name in names:
        left, right = pq.read_table(one / name), pq.read_table(other / name)
        assert (left.column_names, left.schema.types) == (right.column_names, right.schema.types), name
        differing = [column for column in left.column_names if not left[column].equals(right[column])]
        assert (left.num_rows, differing) == (right.num_rows, []), name


def test_both_engines_give_the_same_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tables = {"events": shop_events(np.random.default_rng(11)), "users": shop_users(), "items": shop_items()}

    duckdb = built("duckdb", tmp_path, monkeypatch, SHOP, **tables)
    spark = built("spark", tmp_path, monkeypatch, SHOP, **tables)

    assert_same_tables(duckdb, spark)
    seen = pq.read_table(spark / "user_seen.parquet", columns=["seen_items"])["seen_items"]
    assert max(map(len, seen)) == 1000
    assert {path.stem for path in spark.iterdir()} == {
        "item_conversion",
        "item_metadata",
        "item_popularity",
        "item_reach",
        "item_value",
        "user_activity",
        "user_hidden",
        "user_history",
        "user_profile",
        "user_seen",
        "user_tastes",
    }


def test_a_log_of_one_event_that_nobody_paid_for_gives_the_same_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """item_value has no row then, and whoever reads it needs its columns."""
    event = {"event_id": "1", "user_id": "u", "item_id": "i", "timestamp": T0, "event_type": "view", "value": None}
    kinds = {"timestamp": UTC_MICROSECONDS, "value": pa.float64()}
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in event])
    events = pa.Table.from_pylist([event], schema=schema)

    duckdb = built("duckdb", tmp_path, monkeypatch, BARE, events=events)
    spark = built("spark", tmp_path, monkeypatch, BARE, events=events)

    assert_same_tables(duckdb, spark)
    assert pq.read_metadata(spark / "item_value.parquet").num_rows == 0
    assert not (spark / "user_seen.parquet").exists()
