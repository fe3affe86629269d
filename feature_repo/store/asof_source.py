"""Where a view's table lies, as something that DuckDB can select from."""

import duckdb
from feast.data_format import ParquetFormat
from feast.data_source import DataSource
from feast.infra.offline_stores.duckdb import _read_data_source
from feast.infra.offline_stores.file_source import FileSource

from feature_repo.core.errors import StoreUnavailable


def relation(connection: duckdb.DuckDBPyConnection, source: DataSource, repo_path: str) -> str:
    """What `connection` calls the table of `source`: local parquet (a file, a folder, a glob) is read where it lies.

    Anything else comes through Feast's own reader, whole, and is registered as an Arrow table.

    Raises:
        StoreUnavailable: Feast's reader knows no such source.
    """
    path = _local_parquet(source, repo_path)
    if path is not None:
        return "read_parquet('" + path.replace("'", "''") + "')"
    table = _read_data_source(source, repo_path)
    if table is None:
        raise StoreUnavailable(f"expected a parquet or a delta table; got {source.name!r} at {source.path!r}")
    connection.register("feature_rows", table.to_pyarrow())
    return "feature_rows"


def _local_parquet(source: DataSource, repo_path: str) -> str | None:
    if not isinstance(source, FileSource) or not isinstance(source.file_format, ParquetFormat | None):
        return None
    path = str(source.path).removeprefix("file://")
    # Relative to the repository, as Feast's documentation says; its DuckDB store takes the working directory.
    return None if "://" in path else str(FileSource.get_uri_for_file_path(repo_path=repo_path, uri=path))
