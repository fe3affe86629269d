"""What `materialize` reads of a feature table: rows that hold by its end date and were recorded by then.

Feast's own reader orders rows by the created timestamp and does not cut at it: an online store that is filled as of a
past moment would hold corrections that came later, and serve what no training set of that moment shows.
"""

from datetime import datetime

import ibis
from feast import RepoConfig
from feast.data_source import DataSource
from feast.infra.offline_stores.duckdb import _read_data_source, _write_data_source
from feast.infra.offline_stores.ibis import pull_all_from_table_or_query_ibis
from feast.infra.offline_stores.offline_store import RetrievalJob
from ibis.expr.types import Table


def pull_known(
    config: RepoConfig,
    data_source: DataSource,
    join_key_columns: list[str],
    feature_name_columns: list[str],
    timestamp_field: str,
    created_timestamp_column: str | None = None,
    start_date: datetime | None = None,
    end_date: datetime | None = None,
) -> RetrievalJob:
    """Feast's `pull_all_from_table_or_query`, without the rows that were recorded after `end_date`."""

    def read(source: DataSource, repo_path: str) -> Table:
        table = _read_data_source(source, repo_path)
        if created_timestamp_column and end_date:
            table = table.filter(table[created_timestamp_column] <= ibis.literal(end_date))
        return table

    return pull_all_from_table_or_query_ibis(
        config=config,
        data_source=data_source,
        join_key_columns=join_key_columns,
        feature_name_columns=feature_name_columns,
        timestamp_field=timestamp_field,
        created_timestamp_column=created_timestamp_column,
        start_date=start_date,
        end_date=end_date,
        data_source_reader=read,
        data_source_writer=_write_data_source,
        staging_location=config.offline_store.staging_location,
        staging_location_endpoint_override=config.offline_store.staging_location_endpoint_override,
    )
