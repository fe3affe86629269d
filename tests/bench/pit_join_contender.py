"""One way to build a ranking training set: `python -m bench.pit_join_contender ours|feast|bare TABLES EVENTS ROWS`.

All three join the same entity rows with the same daily snapshots of four views under a time to live of a year, and end
in Arrow.
"""

import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from bench.contender import report

VIEWS = {
    "user_activity": "user_id",
    "user_profile": "user_id",
    "item_popularity": "item_id",
    "item_metadata": "item_id",
}
TTL = timedelta(days=365)
STORES = {"ours": "feature_repo.store.asof.AsofOfflineStore", "feast": "duckdb"}


def entity_rows(events: Path, rows: int) -> pd.DataFrame:
    log = pq.read_table(events, columns=["user_id", "item_id", "timestamp"])
    chosen = log.take(np.random.default_rng(1).choice(log.num_rows, rows, replace=False))
    frame = chosen.select(["user_id", "item_id"]).to_pandas()
    frame["event_timestamp"] = chosen["timestamp"].to_pandas().astype("datetime64[us, UTC]")
    return frame


def bare(tables: Path, frame: pd.DataFrame) -> pa.Table:
    """DuckDB's own ASOF join, view by view, nothing around it but the time to live."""
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    connection.register("asked", pa.Table.from_pandas(frame).append_column("place", pa.array(range(len(frame)))))
    joined = pa.Table.from_pandas(frame, preserve_index=False)
    for view, key in VIEWS.items():
        path = tables / f"{view}.parquet"
        features = [n for n in pq.read_schema(path).names if n not in (key, "event_timestamp")]
        alive = f"f.event_timestamp >= a.event_timestamp - INTERVAL {TTL.days} DAYS"
        values = ", ".join(f'CASE WHEN {alive} THEN f."{name}" END AS "{name}"' for name in features)
        found = connection.sql(
            f"SELECT {values} FROM asked a ASOF LEFT JOIN read_parquet('{path}') f "
            f"ON a.{key} = f.{key} AND a.event_timestamp >= f.event_timestamp ORDER BY a.place"
        ).to_arrow_table()
        for name in features:
            joined = joined.append_column(name, found[name])
    return joined


def through_feast(kind: str, tables: Path, frame: pd.DataFrame) -> Any:
    """A prepared call to `get_historical_features` of a store with the given offline store."""
    from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
    from feast.types import Array, Float64, Int64, String

    kinds = {"string": String, "double": Float64, "int64": Int64}
    entities = {k: Entity(name=k[:4], join_keys=[k], value_type=ValueType.STRING) for k in ("user_id", "item_id")}
    views = []
    for view, key in VIEWS.items():
        schema = pq.read_schema(tables / f"{view}.parquet")
        fields = [
            Field(
                name=f.name,
                dtype=Array(kinds[str(f.type.value_type)]) if pa.types.is_list(f.type) else kinds[str(f.type)],
            )
            for f in schema
            if f.name not in (key, "event_timestamp")
        ]
        source = FileSource(
            name=f"{view}_table", path=str(tables / f"{view}.parquet"), timestamp_field="event_timestamp"
        )
        views.append(FeatureView(name=view, entities=[entities[key]], ttl=TTL, schema=fields, source=source))
    registry = tables / f"{kind}.db"
    registry.unlink(missing_ok=True)
    config = RepoConfig(
        project="bench",
        provider="local",
        registry=str(registry),
        offline_store={"type": STORES[kind]},
        online_store=None,
        entity_key_serialization_version=3,
        repo_path=tables,
    )
    store = FeatureStore(config=config)
    store.apply([*entities.values(), *views])
    names = [f"{view.name}:{field.name}" for view in views for field in view.features]
    return lambda: store.get_historical_features(entity_df=frame, features=names).to_arrow()


def main(kind: str, tables: str, events: str, rows: str) -> None:
    frame = entity_rows(Path(events), int(rows))
    if kind == "bare":
        report(lambda: bare(Path(tables), frame), lambda table: table.num_rows)
    else:
        report(through_feast(kind, Path(tables), frame), lambda table: table.num_rows)


if __name__ == "__main__":
    main(*sys.argv[1:])
