"""The same cases through Feast's own stores and through ours.

The yardstick is Feast's DuckDB store. Its dask store takes its place where the DuckDB store does not follow Feast's
documentation; the case's name says so. Neither of them promises an order, so their answers are put into the frame's.
"""

from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from asof_world import (
    DASK,
    DAY,
    DUCKDB,
    ITEM,
    OURS,
    T0,
    USER,
    VALUE,
    Case,
    answers,
    frame,
    hours,
    stamps,
    view,
    written,
)
from feast import Field, RequestSource
from feast.data_format import ParquetFormat
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Array, Bool, Bytes, Float64, Int64, String, UnixTimestamp

from feature_repo.store.open import quiet_feast

# Feast's DuckDB store reads through ibis, which still calls DuckDB's old name.
pytestmark = pytest.mark.filterwarnings("ignore:fetch_arrow_table:DeprecationWarning")

MICRO = timedelta(microseconds=1)
ROWS = [
    {"user_id": "ann", "at": hours(0), "value": 1},
    {"user_id": "ann", "at": hours(2), "value": 2},
    {"user_id": "bob", "at": hours(1), "value": 4},
]
DATED = [
    {"user_id": "ann", "at": hours(0), "value": 1, "made": hours(0)},
    {"user_id": "ann", "at": hours(2), "value": 2, "made": hours(2)},
    {"user_id": "ann", "at": hours(2), "value": 3, "made": hours(3)},  # the same moment, written again
    {"user_id": "ann", "at": hours(1), "value": 5, "made": hours(6)},  # an older moment, written last
    {"user_id": "ann", "at": hours(4), "value": None, "made": None},
    {"user_id": "bob", "at": hours(1), "value": 6, "made": hours(30)},  # too late for its time to live
    {"user_id": "bob", "at": hours(0), "value": 7, "made": hours(-9)},  # written before it held
    {"user_id": "eve", "at": hours(0), "value": 8, "made": None},
    {"user_id": "eve", "at": hours(0), "value": 9, "made": hours(0)},
]
PAIRS = [
    {"user_id": "ann", "item_id": "x", "at": hours(0), "value": 1},
    {"user_id": "ann", "item_id": "y", "at": hours(1), "value": 2},
    {"user_id": "bob", "item_id": "x", "at": hours(2), "value": 3},
]
NUMBERED = [{"user_id": n, "at": hours(n), "value": n * 10} for n in (1, 2, 3)]
NUMBERED_BY_DAY = [{"user_id": "ann", "at": hours(24 * n), "value": n} for n in range(2)]
USERS, LATER = ["ann", "bob", "nobody"], stamps(2, 1.5, 3)
EDGES = [hours(0) - MICRO, hours(0), hours(2) - MICRO, hours(2), hours(26), hours(26) + MICRO]
MOMENTS = np.arange(-1, 32, 0.5)


def rows(table: list[dict[str, Any]] = ROWS, *, types: dict[str, pa.DataType] | None = None, **options: Any) -> Any:
    return lambda folder: [view("values", written(folder, "values.parquet", table, **(types or {})), **options)]


def with_created(ttl: timedelta = DAY) -> Any:
    return rows(DATED, ttl=ttl, created_timestamp_column="made")


def many(users: list[str]) -> pd.DataFrame:
    return frame(np.repeat(users, len(MOMENTS)), stamps(*np.tile(MOMENTS, len(users))))


def renamed(folder: Path) -> list[Any]:
    table = [{"uid": r["user_id"], "t": r["at"], "val": r["value"], "w": r["made"]} for r in DATED]
    mapping = {"uid": "user_id", "t": "at", "val": "value", "w": "made", "absent": "nothing"}
    path = written(folder, "values.parquet", table)
    return [view("values", path, created_timestamp_column="made", field_mapping=mapping)]


def two_views(folder: Path) -> list[Any]:
    dated = view("dated", written(folder, "dated.parquet", DATED), ttl=DAY, created_timestamp_column="made")
    return [dated, view("values", written(folder, "values.parquet", ROWS), ttl=timedelta(hours=1))]


def pairs(folder: Path) -> list[Any]:
    return [view("values", written(folder, "values.parquet", PAIRS), entities=[USER, ITEM])]


def kinds_of_value(folder: Path) -> list[Any]:
    full = {"s": "x", "f": 1.5, "n": float("nan"), "b": True, "y": b"z", "l": ["a", None], "i": [1, 2], "t": hours(3)}
    table = [{"user_id": "ann", "at": T0, **full}, {"user_id": "bob", "at": T0, **dict.fromkeys(full)}]
    kinds = dict(
        zip(full, (String, Float64, Float64, Bool, Bytes, Array(String), Array(Int64), UnixTimestamp), strict=True)
    )
    fields = [Field(name=name, dtype=kind) for name, kind in kinds.items()]
    return [view("values", written(folder, "values.parquet", table), schema=fields)]


def parts(folder: Path) -> list[Any]:
    written(folder, "parts/day=1/a.parquet", ROWS[:2])
    written(folder, "parts/day=2/b.parquet", ROWS[2:])
    day = Field(name="day", dtype=Int64)
    return [view("values", str(folder / "parts"), schema=[*VALUE, day], file_format=ParquetFormat())]


def globbed(folder: Path) -> list[Any]:
    written(folder, "parts/a.parquet", ROWS[:2])
    written(folder, "parts/b.parquet", ROWS[2:])
    return [view("values", str(folder / "parts" / "*.parquet"))]


def relative(folder: Path) -> list[Any]:
    written(folder, "values.parquet", ROWS)
    return [view("values", "values.parquet")]


def on_demand(folder: Path) -> list[Any]:
    (values,) = rows()(folder)
    request = RequestSource(name="request", schema=[Field(name="more", dtype=Int64)])

    @on_demand_feature_view(sources=[values, request], schema=[Field(name="total", dtype=Int64)], mode="pandas")
    def sums(inputs: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({"total": inputs["value"] + inputs["more"]})

    return [values, sums]


def from_and_to(definitions: list[Any]) -> list[Any]:
    (values,) = definitions
    return [
        values.with_name("origin").with_join_key_map({"user_id": "sender"}),
        values.with_name("target").with_join_key_map({"user_id": "receiver"}),
    ]


def item_renamed(definitions: list[Any]) -> list[Any]:
    return [definitions[0].with_name("bought").with_join_key_map({"item_id": "thing"})]


FULL = {"full_feature_names": True}
KNOWN = {"filter_by_created_timestamp": True}
EXTRA = {
    "note": ["a", None, "ü"],
    "lists": [[1, 2], None, []],
    "real": [1.5, np.nan, 3],
    "flag": [True, False, None],
    "day": [date(2026, 1, 1)] * 3,
    "when": LATER.astype("datetime64[ns, UTC]"),
    "nothing": [None] * 3,
    "kind": pd.Categorical(["p", "q", "p"]),
    "at": [7, 8, 9],
}
ODD_INDEX = pd.Index([5, 5, -1], name="user_id")
NAIVE = LATER.tz_localize(None)
EAST = timezone(timedelta(hours=5))
CASES = {
    "time to live: at both edges": Case(rows(), frame(["ann"] * 6, EDGES)),
    "time to live: none": Case(rows(ttl=timedelta(0)), frame(["ann"] * 6, EDGES)),
    "time to live: microseconds": Case(rows(ttl=MICRO), frame(["ann"] * 4, [hours(2) + n * MICRO for n in range(4)])),
    "no match": Case(rows(), frame(["nobody", "ann"], stamps(2, -1))),
    "duplicate entity rows": Case(rows(), frame(["ann", "bob", "ann", "ann"], stamps(2, 2, 2, 0))),
    "ties by created": Case(with_created(), many(["ann", "bob", "eve"])),
    "ties by created, no time to live": Case(with_created(timedelta(0)), many(["ann", "bob", "eve"])),
    "created by then": Case(with_created(), many(["ann", "bob", "eve"]), options=KNOWN),
    "created by then, no time to live": Case(with_created(timedelta(0)), many(["ann", "bob", "eve"]), options=KNOWN),
    "created by then, short": Case(with_created(timedelta(hours=2)), many(["ann", "bob", "eve"]), options=KNOWN),
    "created by then, no created column": Case(rows(), many(["ann", "bob"]), options=KNOWN),
    "created by then, one view of two": Case(
        two_views, many(["ann", "bob"]), ["dated:value", "values:value"], {**KNOWN, **FULL}
    ),
    "created by then, no entity": Case(
        rows(DATED[:5], entities=[], created_timestamp_column="made"), many(["ann"]), options=KNOWN
    ),
    "several views in the order of the references": Case(
        two_views, many(["ann", "bob"]), ["values:value", "dated:value"], FULL
    ),
    "full feature names": Case(rows(), frame(USERS, LATER), options=FULL),
    "composite keys": Case(pairs, frame(["ann", "ann", "bob"], stamps(3, 3, 3), item_id=["x", "y", "y"])),
    "no entity": Case(rows(entities=[]), frame(USERS, stamps(2, -1, 3))),
    "one view twice under other names and keys": Case(
        rows(),
        frame(USERS, LATER, receiver=["bob", "ann", "ann"]).rename(columns={"user_id": "sender"}),
        from_and_to,
        FULL,
    ),
    "one of two keys renamed: dask is right, DuckDB's store forgets the other": Case(
        pairs, frame(["ann", "bob", "ann"], stamps(3, 3, 3), thing=["x", "x", "y"]), item_renamed, yardstick=DASK
    ),
    "field mapping of keys, times and values": Case(renamed, many(["ann", "bob"])),
    "field mapping, created by then": Case(renamed, many(["ann", "bob"]), options={**KNOWN, **FULL}),
    "extra columns": Case(rows(), frame(USERS, LATER, **EXTRA)),
    "an index of its own": Case(rows(), frame(USERS, LATER).set_index(ODD_INDEX)),
    "an index of two levels": Case(rows(), frame(USERS, LATER).set_index([[1, 2, 3], [4, 5, 6]])),
    "times without a zone": Case(rows(), frame(USERS, NAIVE)),
    "times without a zone, kept so": Case(rows(), frame(USERS, NAIVE), keep_zones=True),
    "times in another zone": Case(rows(), frame(USERS, LATER.tz_convert("Europe/Berlin"))),
    "times in another zone, kept so": Case(rows(), frame(USERS, LATER.tz_convert("Europe/Berlin")), keep_zones=True),
    "times in nanoseconds": Case(rows(), frame(USERS, LATER.astype("datetime64[ns, UTC]"))),
    "times in nanoseconds without a zone": Case(rows(), frame(USERS, NAIVE.astype("datetime64[ns]")), keep_zones=True),
    "times in seconds": Case(rows(), frame(USERS, stamps(2, 1, 3).astype("datetime64[s, UTC]"))),
    "times as objects": Case(rows(), frame(USERS, pd.Series(list(LATER), dtype=object))),
    "times as objects of several zones": Case(
        rows(), frame(USERS, pd.Series([hours(2), hours(1.5).astimezone(EAST), hours(3)], dtype=object))
    ),
    "times as text": Case(rows(), frame(USERS, [t.isoformat() for t in LATER])),
    "times before 1970": Case(
        rows([{"user_id": "ann", "at": datetime(1969, 7, 20, tzinfo=UTC), "value": 1}]),
        frame(["ann"], [datetime(1969, 7, 20, 20, tzinfo=UTC)]),
    ),
    "a time column of another name": Case(rows(), frame(USERS, LATER).rename(columns={"event_timestamp": "when"})),
    "no time in a row": Case(with_created(), frame(USERS, stamps(2, None, 3))),
    "no time in a row, created by then": Case(with_created(), frame(USERS, stamps(None, 2, 3)), options=KNOWN),
    "no key in a row": Case(rows(), frame(["ann", None, "bob"], LATER)),
    "no key or time in a feature row": Case(
        rows([*ROWS, {"user_id": None, "at": hours(0), "value": 8}, {"user_id": "bob", "at": None, "value": 9}]),
        frame(["ann", None, "bob"], LATER),
    ),
    "no rows": Case(rows(), frame(USERS, LATER).iloc[:0]),
    "no feature rows": Case(rows([{"user_id": "x", "at": hours(0), "value": 1}]), frame(USERS, LATER)),
    "integer keys": Case(rows(NUMBERED), frame([1, 2, 9], stamps(9, 9, 9))),
    "integer keys of another width": Case(rows(NUMBERED), frame(np.array([1, 2, 9], "int32"), stamps(9, 9, 9))),
    "integer keys with a gap, hence real": Case(rows(NUMBERED), frame([1.0, np.nan, 2.0], stamps(9, 9, 9))),
    "integer keys with a gap, nullable": Case(rows(NUMBERED), frame(pd.array([1, None, 2], "Int64"), stamps(9, 9, 9))),
    "keys as categories": Case(rows(), frame(pd.Categorical(USERS), LATER)),
    "keys of pandas' string type": Case(rows(), frame(pd.array(["ann", "bob", None], "string"), LATER)),
    "feature times without a zone": Case(rows(types={"at": pa.timestamp("us")}), frame(USERS, LATER)),
    "feature times in nanoseconds": Case(rows(types={"at": pa.timestamp("ns", "UTC")}), frame(USERS, LATER)),
    "feature times in milliseconds": Case(rows(types={"at": pa.timestamp("ms")}), frame(USERS, LATER)),
    "feature times as days": Case(
        rows(NUMBERED_BY_DAY, types={"at": pa.date32()}, ttl=2 * DAY), frame(["ann"] * 3, stamps(24, 47, 72))
    ),
    "the view's time as a feature": Case(
        rows(types={"at": pa.timestamp("us")}, schema=[*VALUE, Field(name="at", dtype=UnixTimestamp)]),
        frame(USERS, LATER),
        ["values:value", "values:at"],
    ),
    "every kind of value, absent and NaN": Case(
        kinds_of_value, frame(USERS, LATER), [f"values:{name}" for name in ("s", "f", "n", "b", "y", "l", "i", "t")]
    ),
    "a folder in parts": Case(parts, frame(USERS, LATER), ["values:value", "values:day"]),
    "a glob": Case(globbed, frame(USERS, LATER)),
    "a path in the repository: dask is right, DuckDB's store takes the working directory": Case(
        relative, frame(USERS, LATER), yardstick=DASK
    ),
    "on-demand features": Case(on_demand, frame(USERS, LATER, more=[1, 2, 3]), ["sums:total"]),
    "on-demand features with full names": Case(
        on_demand, frame(USERS, LATER, more=[1, 2, 3]), ["sums:total", "values:value"], FULL
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_both_stores_give_the_same_table(tmp_path: Path, name: str) -> None:
    quiet_feast()
    case = CASES[name]

    ours, feasts = (job.to_arrow() for job in answers(case, tmp_path, [OURS, case.yardstick]))

    assert ours["place"].to_pylist() == case.frame["place"].to_list()
    assert ours.column_names == feasts.column_names
    feasts = feasts.sort_by("place")
    if case.yardstick == DUCKDB:
        assert ours.schema.types == feasts.schema.types
    pd.testing.assert_frame_equal(ours.to_pandas(), feasts.to_pandas(), check_dtype=case.yardstick == DUCKDB)


def test_both_stores_describe_the_answer_alike(tmp_path: Path) -> None:
    ours, feasts = answers(Case(rows(), frame(USERS, LATER)), tmp_path, [OURS, DUCKDB])

    for name in ("features", "min_event_timestamp", "max_event_timestamp"):
        assert getattr(ours.metadata, name) == getattr(feasts.metadata, name)
    assert sorted(ours.metadata.keys) == sorted(feasts.metadata.keys)
    assert (ours.full_feature_names, ours.on_demand_feature_views) == (False, [])
