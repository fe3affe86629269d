"""One way to build a ranking training set: `python -m bench.pit_join_contender KIND TABLES EVENTS ROWS`.

All kinds join the same entity rows with the same daily snapshots of four views under a time to live of a year, and end
in Arrow:

- `bare`: DuckDB's own ASOF join, view by view, and the time to live; no ties are broken;
- `ours` and `feast`: the two stores; ties are broken by created timestamp;
- `feast-parts`: Feast's store over ten parts of the entity frame, one after the other, each dropped before the next;
- `ours-known` and `feast-known`: both stores with `filter_by_created_timestamp`.
"""

import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from bench.contender import report
from bench.pit_join_guard import READY
from bench.pit_join_tables import CREATED, TIME, VIEWS, entity_rows, features

TTL = timedelta(days=365)
STORES = {"ours": "feature_repo.store.asof.AsofOfflineStore", "feast": "duckdb"}
PARTS = 10


def bare(tables: Path, frame: pd.DataFrame) -> pa.Table:
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    joined = pa.Table.from_pandas(frame, preserve_index=False)
    connection.register("asked", joined.append_column("place", pa.array(np.arange(len(frame)))))
    for view, key in VIEWS.items():
        names = features(tables, view)
        alive = f"f.{TIME} >= a.{TIME} - INTERVAL {TTL.days} DAYS"
        values = ", ".join(f'CASE WHEN {alive} THEN f."{name}" END AS "{name}"' for name in names)
        found = connection.sql(
            f"SELECT {values} FROM asked a ASOF LEFT JOIN read_parquet('{tables / view}.parquet') f "
            f"ON a.{key} = f.{key} AND a.{TIME} >= f.{TIME} ORDER BY a.place"
        ).to_arrow_table()
        for name in names:
            joined = joined.append_column(name, found[name])
    return joined


def feature_views(tables: Path) -> tuple[list[Any], list[Any]]:
    """Feast's entities and views over `tables`, with every feature of each file."""
    from feast import Entity, FeatureView, Field, FileSource, ValueType
    from feast.types import Array, Bool, Float32, Float64, Int32, Int64, String, UnixTimestamp

    plain = {"string": String, "double": Float64, "float": Float32, "int64": Int64, "int32": Int32, "bool": Bool}

    def kind(arrow: pa.DataType) -> Any:
        if pa.types.is_timestamp(arrow):
            return UnixTimestamp
        return Array(plain[str(arrow.value_type)]) if pa.types.is_list(arrow) else plain[str(arrow)]

    entities = {key: Entity(name=key[:4], join_keys=[key], value_type=ValueType.STRING) for key in VIEWS.values()}
    views = []
    for view, key in VIEWS.items():
        path = tables / f"{view}.parquet"
        schema = pq.read_schema(path)
        fields = [Field(name=name, dtype=kind(schema.field(name).type)) for name in features(tables, view)]
        source = FileSource(
            name=f"{view}_table", path=str(path), timestamp_field=TIME, created_timestamp_column=CREATED
        )
        views.append(FeatureView(name=view, entities=[entities[key]], ttl=TTL, schema=fields, source=source))
    return list(entities.values()), views


def through_feast(store_kind: str, tables: Path, **options: Any) -> Callable[[pd.DataFrame], pa.Table]:
    """`get_historical_features` of a store with the given offline store, over every feature of the views."""
    from feast import FeatureStore, RepoConfig

    registry = tables / f"{store_kind}.db"
    registry.unlink(missing_ok=True)
    config = RepoConfig(
        project="bench",
        provider="local",
        registry=str(registry),
        offline_store={"type": STORES[store_kind]},
        online_store=None,
        entity_key_serialization_version=3,
        repo_path=tables,
    )
    store = FeatureStore(config=config)
    entities, views = feature_views(tables)
    store.apply([*entities, *views])
    names = [f"{view}:{name}" for view in VIEWS for name in features(tables, view)]
    return lambda frame: store.get_historical_features(entity_df=frame, features=names, **options).to_arrow()


def work_of(kind: str, tables: Path, frame: pd.DataFrame) -> Callable[[], int]:
    """What is timed; it answers with its number of rows."""
    if kind == "bare":
        return lambda: int(bare(tables, frame).num_rows)
    store_kind, _, variant = kind.partition("-")
    join = through_feast(store_kind, tables, **({"filter_by_created_timestamp": True} if variant == "known" else {}))
    if variant == "parts":
        size = -(-len(frame) // PARTS)
        return lambda: sum(join(frame[n : n + size]).num_rows for n in range(0, len(frame), size))
    return lambda: int(join(frame).num_rows)


def main(kind: str, tables: str, events: str, rows: str) -> None:
    work = work_of(kind, Path(tables), entity_rows(Path(events), int(rows)))
    sys.stdout.write(f"{READY}\n")
    sys.stdout.flush()
    report(work, lambda answered: answered)


if __name__ == "__main__":
    main(*sys.argv[1:])
