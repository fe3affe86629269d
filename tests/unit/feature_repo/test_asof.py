"""The ASOF offline store by itself: known answers, what it refuses, what it writes."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
from asof_world import DAY, VALUE, applied, frame, hours, stamps, view, written
from feast import Field, RequestSource
from feast.errors import EntityTimestampInferenceException, SavedDatasetLocationAlreadyExists
from feast.infra.offline_stores.file_source import SavedDatasetFileStorage
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Int64

from feature_repo.core.errors import JoinRefused, StoreUnavailable
from feature_repo.store.open import quiet_feast

MICRO = timedelta(microseconds=1)
ROWS = [
    {"user_id": "ann", "at": hours(0), "value": 1, "made": hours(0)},
    {"user_id": "ann", "at": hours(2), "value": 2, "made": hours(5)},
    {"user_id": "ann", "at": hours(1), "value": 3, "made": hours(7)},
]


@pytest.fixture
def table(tmp_path: Path) -> str:
    return written(tmp_path, "values.parquet", ROWS)


def values(folder: Path, path: str, asked: pd.DataFrame, *, known: bool = False, **options: Any) -> list[Any]:
    store = applied(folder, [view("values", path, **options)])
    job = store.get_historical_features(asked, features=["values:value"], filter_by_created_timestamp=known)
    found: list[Any] = job.to_arrow()["value"].to_pylist()
    return found


def test_a_row_is_seen_from_its_own_time_on_and_until_its_time_to_live(tmp_path: Path, table: str) -> None:
    moments = [hours(0) - MICRO, hours(0), hours(2) - MICRO, hours(2), hours(26), hours(26) + MICRO]

    assert values(tmp_path, table, frame(["ann"] * 6, moments), ttl=DAY) == [None, 1, 3, 2, 2, None]


def test_what_was_written_later_is_not_known_before(tmp_path: Path, table: str) -> None:
    moments = stamps(2, 4.9, 5, 7, 26, 27)

    found = values(tmp_path, table, frame(["ann"] * 6, moments), known=True, created_timestamp_column="made")

    # The row of hour 1 arrives at hour 7, when that of hour 2 is known: it never counts. A row ages from its own time.
    assert found == [1, 1, 2, 2, 2, None]


def test_a_column_of_the_entity_frame_may_have_any_name(tmp_path: Path, table: str) -> None:
    odd = ["key_0", "at", "stamp", "moment", "state", "asked", "value_0", 'a "quoted" one', "file_row_number"]
    asked = frame(["ann"], stamps(3), **{name: [0] for name in odd})

    assert values(tmp_path, table, asked) == [2]


def test_names_with_quotes_are_joined_as_they_are(tmp_path: Path) -> None:
    path = written(tmp_path, "it's.parquet", [{'a"b': 1, "user_id": "ann", "the time": hours(0)}])
    store = applied(tmp_path, [view("values", path, time="the time", schema=[Field(name='a"b', dtype=Int64)])])

    answer = store.get_historical_features(frame(["ann"], stamps(1)), features=['values:a"b']).to_arrow()

    assert answer['a"b'].to_pylist() == [1]


@pytest.mark.parametrize("day", [datetime(2026, 1, 1, tzinfo=UTC), datetime(1969, 7, 20, tzinfo=UTC)])
def test_a_fraction_of_a_microsecond_never_shows_what_came_after(tmp_path: Path, day: datetime) -> None:
    path = written(tmp_path, "values.parquet", [{"user_id": "ann", "at": day, "value": 1}])
    moments = pd.DatetimeIndex([day] * 3).as_unit("ns") + pd.to_timedelta([-1, 0, 1], unit="ns")

    assert values(tmp_path, path, frame(["ann"] * 3, moments)) == [None, 1, 1]


def test_rows_created_and_dated_alike_give_one_answer_each(tmp_path: Path) -> None:
    twice = [{"user_id": "ann", "at": hours(0), "value": 5, "made": hours(0)}] * 3
    path = written(tmp_path, "values.parquet", twice)

    for known in (False, True):
        assert values(
            tmp_path, path, frame(["ann", "ann"], stamps(1, 1)), known=known, created_timestamp_column="made"
        ) == [5, 5]


def test_nothing_is_read_before_the_answer_is_wanted_and_everything_then(tmp_path: Path, table: str) -> None:
    job = applied(tmp_path, [view("values", table)]).get_historical_features(
        frame(["ann"], stamps(3)), features=["values:value"]
    )

    written(tmp_path, "values.parquet", [{**row, "value": row["value"] * 10} for row in ROWS])

    assert job.to_arrow()["value"].to_pylist() == job.to_df()["value"].to_list() == [20]


def test_the_answer_is_saved_with_its_on_demand_features_and_not_twice(tmp_path: Path, table: str) -> None:
    quiet_feast()
    stored = view("values", table)
    request = RequestSource(name="request", schema=[Field(name="more", dtype=Int64)])

    @on_demand_feature_view(sources=[stored, request], schema=[Field(name="total", dtype=Int64)], mode="pandas")
    def sums(inputs: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({"total": inputs["value"] + inputs["more"]})

    store = applied(tmp_path, [stored, sums])
    job = store.get_historical_features(frame(["ann"], stamps(3), more=[40]), features=["sums:total", "values:value"])
    storage = SavedDatasetFileStorage(path=str(tmp_path / "saved.parquet"))

    job.persist(storage)

    assert pq.read_table(tmp_path / "saved.parquet").to_pylist() == job.to_arrow().to_pylist()
    assert pq.read_table(tmp_path / "saved.parquet")["total"].to_pylist() == [42]
    with pytest.raises(SavedDatasetLocationAlreadyExists):
        job.persist(storage)
    job.persist(storage, allow_overwrite=True)


@pytest.mark.filterwarnings("ignore:fetch_arrow_table:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:(Saving dataset|Retrieving datasets) is an experimental feature:RuntimeWarning")
def test_a_saved_data_set_comes_back_from_the_registry(tmp_path: Path, table: str) -> None:
    store = applied(tmp_path, [view("values", table)])
    job = store.get_historical_features(frame(["ann"], stamps(3)), features=["values:value"])
    storage = SavedDatasetFileStorage(path=str(tmp_path / "saved.parquet"))

    store.create_saved_dataset(from_=job, name="training", storage=storage)

    found = store.get_saved_dataset("training")
    assert found.join_keys == ["user_id"]
    assert found.to_df()["value"].to_list() == [2]


@pytest.mark.parametrize("asked", ["SELECT 1", None], ids=["text", "nothing"])
def test_what_is_no_frame_is_refused(tmp_path: Path, table: str, asked: Any) -> None:
    store = applied(tmp_path, [view("values", table)])

    with pytest.raises(JoinRefused, match=r"expected an entity frame as a pandas DataFrame; got (str|NoneType)"):
        store.get_historical_features(asked, features=["values:value"])


@pytest.mark.parametrize("keys", [[1], [True], [1.5], [b"ann"]], ids=str)
def test_keys_of_another_kind_are_refused(tmp_path: Path, table: str, keys: list[Any]) -> None:
    with pytest.raises(
        JoinRefused, match="the key 'user_id' of the view 'values' to have the type of its table, string"
    ):
        values(tmp_path, table, frame(keys, stamps(3)))


def test_a_missing_key_is_refused(tmp_path: Path, table: str) -> None:
    with pytest.raises(JoinRefused, match=r"a column for each key of the view 'values'; got .* without \['user_id'\]"):
        values(tmp_path, table, frame(["ann"], stamps(3)).drop(columns="user_id"))


def test_a_feature_with_the_name_of_a_column_is_refused(tmp_path: Path, table: str) -> None:
    with pytest.raises(JoinRefused, match=r"names of their own; the entity frame has \['value'\] too"):
        values(tmp_path, table, frame(["ann"], stamps(3), value=[1]))


def test_a_frame_without_a_time_is_refused_as_feast_does(tmp_path: Path, table: str) -> None:
    with pytest.raises(EntityTimestampInferenceException):
        values(tmp_path, table, pd.DataFrame({"user_id": ["ann"]}))


def test_a_table_that_is_gone_is_a_sentence(tmp_path: Path, table: str) -> None:
    with pytest.raises(StoreUnavailable, match=r"the table of the view 'values' cannot be read: .*No files found"):
        values(tmp_path, table.replace("values.parquet", "gone.parquet"), frame(["ann"], stamps(3)))


def test_a_feature_that_its_table_does_not_have_is_a_sentence(tmp_path: Path, table: str) -> None:
    store = applied(tmp_path, [view("values", table, schema=[*VALUE, Field(name="absent", dtype=Int64)])])

    with pytest.raises(StoreUnavailable, match=r"the view 'values' cannot be read: .*absent"):
        store.get_historical_features(frame(["ann"], stamps(3)), features=["values:absent"]).to_arrow()


def test_a_table_of_a_format_that_feast_does_not_read_is_a_sentence(tmp_path: Path) -> None:
    store = applied(tmp_path, [view("values", "gs://bucket/folder")])

    with pytest.raises(StoreUnavailable, match="expected a parquet or a delta table; got 'values_table' at 'gs://"):
        store.get_historical_features(frame(["ann"], stamps(3)), features=["values:value"]).to_arrow()
