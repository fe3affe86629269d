"""Small feature tables behind a real Feast store, and one question put to any offline store over them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.infra.offline_stores.offline_store import RetrievalJob
from feast.types import Int64

OURS, DUCKDB, DASK = "feature_repo.store.asof.AsofOfflineStore", "duckdb", "dask"
T0 = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
STAMP = pa.timestamp("us", "UTC")
USER = Entity(name="user", join_keys=["user_id"], value_type=ValueType.STRING)
ITEM = Entity(name="item", join_keys=["item_id"], value_type=ValueType.STRING)
VALUE = [Field(name="value", dtype=Int64)]

Definition = Any  # a feature view or an on-demand view


def hours(count: float) -> datetime:
    return T0 + timedelta(hours=count)


def stamps(*counts: float | None) -> pd.DatetimeIndex:
    return pd.to_datetime([None if c is None else hours(c) for c in counts], utc=True).astype("datetime64[us, UTC]")


def frame(users: Sequence[Any], times: Any, **extra: Any) -> pd.DataFrame:
    """An entity frame with its own row numbers in `place`: Feast's stores promise no order."""
    columns = {"user_id": users, "event_timestamp": times, "place": range(len(users)), **extra}
    return pd.DataFrame({k: v for k, v in columns.items() if v is not None})


def written(folder: Path, name: str, rows: Sequence[Mapping[str, Any]], **types: pa.DataType) -> str:
    """Write `rows` as parquet; a column of datetimes is UTC microseconds unless `types` says otherwise."""
    fields = []
    for column in rows[0]:
        dated = any(isinstance(row[column], datetime) for row in rows)
        values = pa.array([row[column] for row in rows], STAMP if dated else None)
        fields.append((column, values.cast(types[column]) if column in types else values))
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(dict(fields)), path)
    return str(path)


def view(
    name: str,
    path: str,
    *,
    entities: Sequence[Entity] = (USER,),
    ttl: timedelta = DAY,
    schema: Sequence[Field] = VALUE,
    time: str = "at",
    **source: Any,
) -> FeatureView:
    table = FileSource(name=f"{name}_table", path=path, timestamp_field=time, **source)
    return FeatureView(name=name, entities=list(entities), ttl=ttl, schema=list(schema), source=table)


@dataclass(frozen=True)
class Case:
    """One question. `yardstick` names the store of Feast's that is right about it.

    `definitions` builds the views over tables that it writes into the given folder; `features` are references, or make
    a feature service's projections of the views.
    """

    definitions: Callable[[Path], list[Definition]]
    frame: pd.DataFrame
    features: Sequence[str] | Callable[[list[Definition]], list[Any]] = ("values:value",)
    options: Mapping[str, Any] = field(default_factory=dict)
    yardstick: str = DUCKDB
    keep_zones: bool = False


def store(folder: Path, kind: str, *, keep_zones: bool = False) -> FeatureStore:
    config = RepoConfig(
        project="conformance",
        provider="local",
        registry=str(folder / "registry.db"),
        offline_store={"type": kind},
        online_store=None,
        entity_key_serialization_version=3,
        repo_path=folder,
        coerce_tz_aware=not keep_zones,
    )
    return FeatureStore(config=config)


def applied(folder: Path, definitions: Sequence[Definition], kind: str = OURS) -> FeatureStore:
    opened = store(folder, kind)
    opened.apply([USER, ITEM, *definitions])
    return opened


def answers(case: Case, folder: Path, kinds: Sequence[str]) -> list[RetrievalJob]:
    """The job of each store of `kinds` for the same question over the same registry."""
    definitions = case.definitions(folder)
    first = applied(folder, definitions, kinds[0])
    if callable(case.features):
        asked: Any = FeatureService(name="asked", features=case.features(definitions))
        first.apply([asked])
    else:
        asked = list(case.features)
    return [
        store(folder, kind, keep_zones=case.keep_zones).get_historical_features(
            entity_df=case.frame.copy(), features=asked, **case.options
        )
        for kind in kinds
    ]
