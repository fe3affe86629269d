"""Run the joins of a retrieval, when its answer is wanted."""

from collections.abc import Iterable
from dataclasses import dataclass

import duckdb
import ibis
import numpy as np
import pyarrow as pa
from feast.data_source import DataSource
from feast.infra.offline_stores.duckdb import _write_data_source
from feast.infra.offline_stores.offline_store import RetrievalJob, RetrievalMetadata
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.saved_dataset import SavedDatasetStorage

from feature_repo.core.errors import JoinRefused, StoreUnavailable
from feature_repo.store.asof_entities import EntityRows
from feature_repo.store.asof_source import relation
from feature_repo.store.asof_sql import ViewJoin, asof_sql, quoted


@dataclass(frozen=True)
class AskedView:
    """A view as this retrieval reads it; `columns` are the names of its features in the answer."""

    name: str
    source: DataSource
    join: ViewJoin
    columns: tuple[str, ...]


class AsofRetrievalJob(RetrievalJob):  # type: ignore[misc]
    """The joins of `views` to `rows`, run each time that the answer is asked for, as Feast's jobs are."""

    def __init__(
        self,
        rows: EntityRows,
        views: Iterable[AskedView],
        *,
        repo_path: str,
        on_demand: list[OnDemandFeatureView],
        full_feature_names: bool,
        metadata: RetrievalMetadata,
    ) -> None:
        super().__init__()
        self._rows = rows
        self._views = tuple(views)
        self._repo_path = repo_path
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

    def _to_arrow_internal(self, timeout: int | None = None) -> pa.Table:  # noqa: ARG002 - DuckDB has no time limit
        connection = duckdb.connect()
        connection.execute("SET TimeZone = 'UTC'")
        answer = self._rows.table
        for view in self._views:
            found = join_view(connection, self._rows, view, repo_path=self._repo_path)
            for name, column in zip(view.columns, found.columns, strict=True):
                answer = answer.append_column(name, column)
        return answer

    def persist(
        self,
        storage: SavedDatasetStorage,
        allow_overwrite: bool = False,
        timeout: int | None = None,
    ) -> None:
        """Write the answer, on-demand features included, to where `storage` says."""
        answer = ibis.memtable(self.to_arrow(timeout=timeout))
        _write_data_source(answer, storage.to_data_source(), self._repo_path, "overwrite", allow_overwrite)


def join_view(connection: duckdb.DuckDBPyConnection, rows: EntityRows, view: AskedView, *, repo_path: str) -> pa.Table:
    """The features of `view` for each of `rows`, in their order.

    Raises:
        JoinRefused: a key has another kind of type in the entity frame than in the view's table.
        StoreUnavailable: the view's table cannot be read.
    """
    try:
        source = relation(connection, view.source, repo_path)
        keys = _keys(connection, rows, view, source)
        places = np.arange(rows.table.num_rows)
        connection.register("asked", pa.table({"place": places, "at": rows.times, **keys}))
        return connection.sql(asof_sql(view.join, source)).to_arrow_table()
    except duckdb.Error as error:
        reason = str(error).splitlines()[0]
        raise StoreUnavailable(f"the table of the view {view.name!r} cannot be read: {reason}") from error


def _keys(
    connection: duckdb.DuckDBPyConnection, rows: EntityRows, view: AskedView, source: str
) -> dict[str, pa.ChunkedArray | pa.Array]:
    """The key columns of the relation `asked`."""
    keys = {}
    for place, (key, column) in enumerate(view.join.keys.items()):
        stored = connection.sql(f"SELECT {quoted(key)} FROM {source} LIMIT 0").to_arrow_table().schema.field(0).type
        values = rows.table[column]
        if values.null_count == len(values):  # a column without values has whatever type pandas gave it
            values = pa.nulls(len(values), stored)
        elif _kind(values.type) != _kind(stored) and not pa.types.is_null(stored):
            # DuckDB would cast text to a number, and fail on the first row that is none.
            raise JoinRefused(
                f"expected the key {key!r} of the view {view.name!r} to have the type of its table, {stored}; "
                f"the entity frame's column {column!r} has {values.type}"
            )
        keys[f"key_{place}"] = values
    return keys


def _kind(arrow: pa.DataType) -> str:
    if pa.types.is_integer(arrow) or pa.types.is_floating(arrow) or pa.types.is_decimal(arrow):
        return "number"
    if pa.types.is_string(arrow) or pa.types.is_large_string(arrow) or pa.types.is_string_view(arrow):
        return "text"
    return str(arrow)
