"""The offline store: Feast's DuckDB store with the point-in-time join done by DuckDB's own ASOF join.

For every entity row the join takes the newest feature row with the same keys whose time is not after the entity row's
(`<=`, as Feast does), drops it when it is older than the view's time to live, and keeps the entity frame's row order.
Ties in time go to the newest created timestamp. A join by sorted order costs one pass over both tables, where Feast's
store compares every entity row with the whole history of its key.
"""

from datetime import timedelta
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
from feast import FeatureView, RepoConfig
from feast.data_source import DataSource
from feast.feature_view import DUMMY_ENTITY_ID
from feast.infra.offline_stores.duckdb import DuckDBOfflineStore, DuckDBOfflineStoreConfig
from feast.infra.offline_stores.file_source import FileSource
from feast.infra.offline_stores.offline_store import RetrievalJob, RetrievalMetadata
from feast.infra.offline_stores.offline_utils import infer_event_timestamp_from_entity_df
from feast.infra.registry.base_registry import BaseRegistry
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.saved_dataset import SavedDatasetStorage

_ROW = "__entity_row"
_TIME = "__feature_time"


class AsofOfflineStoreConfig(DuckDBOfflineStoreConfig):  # type: ignore[misc]
    """Feast finds this class by its name; the settings are those of the DuckDB store."""

    type: str = "feature_repo.store.asof.AsofOfflineStore"


class AsofOfflineStore(DuckDBOfflineStore):  # type: ignore[misc]
    """Feast's DuckDB offline store with another `get_historical_features`."""

    @staticmethod
    def get_historical_features(
        config: RepoConfig,
        feature_views: list[FeatureView],
        feature_refs: list[str],
        entity_df: pd.DataFrame | str,
        registry: BaseRegistry,
        project: str,
        full_feature_names: bool = False,
        filter_by_created_timestamp: bool = False,
        **unsupported: Any,
    ) -> RetrievalJob:
        if filter_by_created_timestamp:
            # "Newest of those written by then" has no single sort order, so it is no ASOF join: Feast's own is right.
            return DuckDBOfflineStore.get_historical_features(
                config, feature_views, feature_refs, entity_df, registry, project, full_feature_names, True
            )
        if unsupported or not isinstance(entity_df, pd.DataFrame):
            raise NotImplementedError(
                f"expected an entity frame as a pandas DataFrame; got {type(entity_df).__name__} {sorted(unsupported)}"
            )
        time_column = infer_event_timestamp_from_entity_df(dict(entity_df.dtypes))
        connection = duckdb.connect()
        connection.execute("SET TimeZone = 'UTC'")
        rows = _entity_rows(entity_df, time_column)
        connection.register("entity_rows", rows)
        joined = rows.drop([_ROW])
        for view in feature_views:
            features = _features_of(view, feature_refs)
            sql = _asof_sql(view, features, source=_scan(view.batch_source, config), time_column=time_column)
            columns = connection.sql(sql).to_arrow_table()
            for feature in features:
                name = f"{view.projection.name_to_use()}__{feature}" if full_feature_names else feature
                joined = joined.append_column(name, columns[feature])
        return AsofRetrievalJob(
            joined,
            on_demand=OnDemandFeatureView.get_requested_odfvs(feature_refs, project, registry),
            full_feature_names=full_feature_names,
            metadata=RetrievalMetadata(
                features=feature_refs,
                keys=[c for c in entity_df.columns if c != time_column],
                min_event_timestamp=entity_df[time_column].min(),
                max_event_timestamp=entity_df[time_column].max(),
            ),
        )


class AsofRetrievalJob(RetrievalJob):  # type: ignore[misc]
    """A finished join; Feast runs the on-demand views over it."""

    def __init__(
        self,
        table: pa.Table,
        *,
        on_demand: list[OnDemandFeatureView],
        full_feature_names: bool,
        metadata: RetrievalMetadata,
    ) -> None:
        super().__init__()
        self._table = table
        self._on_demand = on_demand
        self._full_feature_names = full_feature_names
        self._metadata = metadata

    @property
    def full_feature_names(self) -> bool:
        return self._full_feature_names

    @property
    def on_demand_feature_views(self) -> list[OnDemandFeatureView]:
        return self._on_demand

    @property
    def metadata(self) -> RetrievalMetadata:
        return self._metadata

    def _to_arrow_internal(self, timeout: int | None = None) -> pa.Table:  # noqa: ARG002 - the join is done
        return self._table

    def _to_df_internal(self, timeout: int | None = None) -> pd.DataFrame:  # noqa: ARG002 - the join is done
        return self._table.to_pandas()

    def persist(
        self,
        storage: SavedDatasetStorage,
        allow_overwrite: bool = False,
        timeout: int | None = None,
    ) -> None:
        raise NotImplementedError("saved data sets are written by the caller: use to_arrow() and pyarrow.parquet")


def _entity_rows(entity_df: pd.DataFrame, time_column: str) -> pa.Table:
    times = pd.to_datetime(entity_df[time_column], utc=True).astype("datetime64[us, UTC]")
    table = pa.Table.from_pandas(entity_df.assign(**{time_column: times}), preserve_index=False)
    return table.append_column(_ROW, pa.array(range(table.num_rows), pa.int64()))


def _features_of(view: FeatureView, feature_refs: list[str]) -> list[str]:
    prefix = f"{view.projection.name_to_use()}:"
    return [ref.removeprefix(prefix) for ref in feature_refs if ref.startswith(prefix)]


def _scan(source: DataSource, config: RepoConfig) -> str:
    if not isinstance(source, FileSource):
        raise NotImplementedError(f"expected a parquet FileSource; got {type(source).__name__} {source.name!r}")
    path = FileSource.get_uri_for_file_path(repo_path=config.repo_path, uri=source.path)
    return "read_parquet('" + str(path).removeprefix("file://").replace("'", "''") + "')"


def _asof_sql(view: FeatureView, features: list[str], *, source: str, time_column: str) -> str:
    mapped = {new: old for old, new in view.batch_source.field_mapping.items()}
    created = view.batch_source.created_timestamp_column
    keys = {c.name: (view.projection.join_key_map or {}).get(c.name, c.name) for c in view.entity_columns}
    keys.pop(DUMMY_ENTITY_ID, None)
    match = "".join(f'f."{key}" = e."{column}" AND ' for key, column in keys.items())
    time = f'CAST("{view.batch_source.timestamp_field}" AS TIMESTAMPTZ)'
    selected = ", ".join(f'"{mapped.get(name, name)}" AS "{name}"' for name in dict.fromkeys([*keys, *features]))
    unique = ""
    if created:
        partition = ", ".join([*(f'"{mapped.get(k, k)}"' for k in keys), time])
        unique = f'QUALIFY row_number() OVER (PARTITION BY {partition} ORDER BY "{created}" DESC) = 1'
    ttl = view.ttl or timedelta(0)
    alive = "true"
    if ttl > timedelta(0):
        alive = f'f.{_TIME} >= e."{time_column}" - INTERVAL {ttl // timedelta(microseconds=1)} MICROSECONDS'
    values = ", ".join(f'CASE WHEN {alive} THEN f."{name}" END AS "{name}"' for name in features)
    return f"""
        SELECT {values} FROM entity_rows e
        ASOF LEFT JOIN (SELECT {selected}, {time} AS {_TIME} FROM {source} {unique}) f
        ON {match} e."{time_column}" >= f.{_TIME}
        ORDER BY e.{_ROW}"""
