"""The offline store on Spark (OFFLINE_STORE=spark): Feast's own, over the definitions that the other store reads.

Feast's Spark store joins on the cluster. Three things of it are not ours: it wants sources of a type of its own, its
answer has no order, and it brings the answer back through pandas, where a whole number beside a null becomes a float.
"""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pandas as pd
import pyarrow as pa
from feast import FeatureView, FileSource, RepoConfig
from feast.data_source import DataSource
from feast.infra.offline_stores.contrib.spark_offline_store import spark as feasts
from feast.infra.offline_stores.contrib.spark_offline_store.spark_source import SparkSource
from feast.infra.offline_stores.offline_store import RetrievalJob
from feast.infra.registry.base_registry import BaseRegistry
from pydantic import Field

from feature_repo.core.spark import session_settings
from feature_repo.store.asof_entities import require_frame

_ROW = "__entity_row"


class SparkOfflineStoreConfig(feasts.SparkOfflineStoreConfig):  # type: ignore[misc]
    """Feast finds this class by its name. Without `spark_conf` the environment says where Spark runs."""

    type: str = "feature_repo.store.spark.SparkOfflineStore"
    spark_conf: dict[str, str] = Field(default_factory=lambda: session_settings(os.environ))


class SparkOfflineStore(feasts.SparkOfflineStore):  # type: ignore[misc]
    """Feast's Spark store over parquet files; answers in the order of the entity frame, with the tables' own types."""

    @staticmethod
    def get_historical_features(
        config: RepoConfig,
        feature_views: list[FeatureView],
        feature_refs: list[str],
        entity_df: pd.DataFrame,
        registry: BaseRegistry,
        project: str,
        full_feature_names: bool = False,
        filter_by_created_timestamp: bool = False,
        **unsupported: Any,
    ) -> RetrievalJob:
        require_frame(entity_df, unsupported)
        with _experimental():
            job = feasts.SparkOfflineStore.get_historical_features(
                config,
                [_on_spark(view, config) for view in feature_views],
                feature_refs,
                entity_df.assign(**{_ROW: range(len(entity_df))}),
                registry,
                project,
                full_feature_names,
                filter_by_created_timestamp,
            )
        return _ArrowJob(job, config)

    @staticmethod
    def pull_latest_from_table_or_query(
        config: RepoConfig, data_source: DataSource, *columns_and_dates: Any, **named: Any
    ) -> RetrievalJob:
        with _experimental():
            source = _spark_source(data_source, config)
            job = feasts.SparkOfflineStore.pull_latest_from_table_or_query(config, source, *columns_and_dates, **named)
        return _ArrowJob(job, config)

    @staticmethod
    def pull_all_from_table_or_query(
        config: RepoConfig, data_source: DataSource, *columns_and_dates: Any, **named: Any
    ) -> RetrievalJob:
        with _experimental():
            source = _spark_source(data_source, config)
            job = feasts.SparkOfflineStore.pull_all_from_table_or_query(config, source, *columns_and_dates, **named)
        return _ArrowJob(job, config)


class _ArrowJob(feasts.SparkRetrievalJob):  # type: ignore[misc]
    """Feast's job, brought back as Arrow; rows in the order of `_ROW` where they have one."""

    def __init__(self, job: feasts.SparkRetrievalJob, config: RepoConfig) -> None:
        super().__init__(
            spark_session=job.spark_session,
            query=job.query,
            full_feature_names=job.full_feature_names,
            config=config,
            on_demand_feature_views=job.on_demand_feature_views,
            metadata=job.metadata,
        )

    def _to_arrow_internal(self, timeout: int | None = None) -> pa.Table:  # noqa: ARG002 - Spark has its own limits
        table = self.to_spark_df().toArrow()
        return table.sort_by(_ROW).drop([_ROW]) if _ROW in table.column_names else table

    def _to_df_internal(self, timeout: int | None = None) -> pd.DataFrame:
        return self._to_arrow_internal(timeout).to_pandas()


@contextmanager
def _experimental() -> Iterator[None]:
    # Feast marks its Spark store as experimental at every call; ours is tested against the ASOF store.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The spark .* is an experimental feature", category=RuntimeWarning)
        yield


def _on_spark(view: FeatureView, config: RepoConfig) -> FeatureView:
    copied = view.__copy__()
    copied.batch_source = _spark_source(view.batch_source, config)
    return copied


def _spark_source(source: DataSource, config: RepoConfig) -> DataSource:
    """The same parquet file as a source that Feast's Spark store reads."""
    if not isinstance(source, FileSource):
        return source
    return SparkSource(
        name=source.name,
        path=str(FileSource.get_uri_for_file_path(repo_path=config.repo_path, uri=source.path)),
        file_format="parquet",
        timestamp_field=source.timestamp_field,
        created_timestamp_column=source.created_timestamp_column,
        field_mapping=source.field_mapping,
    )
