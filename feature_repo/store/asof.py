"""The offline store: Feast's DuckDB store with the point-in-time join done by DuckDB's own ASOF join.

For every entity row the join takes the newest feature row with the same keys whose time is not after the entity row's
(`<=`, as Feast does), drops it when it is older than the view's time to live, and keeps the entity frame's row order.
Ties in time go to the newest created timestamp. A join by sorted order costs one pass over both tables, where Feast's
store compares every entity row with the whole history of its key.

asof_sql.py says how a view is joined, asof_entities.py what is asked, asof_source.py where a table lies, and
asof_job.py runs the joins when the answer is wanted.
"""

from typing import Any

import pandas as pd
from feast import FeatureView, RepoConfig
from feast.infra.offline_stores.duckdb import (
    DuckDBOfflineStore,
    DuckDBOfflineStoreConfig,
    _validate_lance_feature_views,
)
from feast.infra.offline_stores.offline_store import RetrievalJob, RetrievalMetadata
from feast.infra.registry.base_registry import BaseRegistry
from feast.on_demand_feature_view import OnDemandFeatureView

from feature_repo.store.asof_entities import entity_rows, refuse_clashes, require_frame
from feature_repo.store.asof_job import AskedView, AsofRetrievalJob
from feature_repo.store.asof_log import write_log
from feature_repo.store.asof_pull import pull_known
from feature_repo.store.asof_sql import view_join


class AsofOfflineStoreConfig(DuckDBOfflineStoreConfig):  # type: ignore[misc]
    """Feast finds this class by its name; the settings are those of the DuckDB store."""

    type: str = "feature_repo.store.asof.AsofOfflineStore"


class AsofOfflineStore(DuckDBOfflineStore):  # type: ignore[misc]
    """Feast's DuckDB offline store with another `get_historical_features`."""

    pull_all_from_table_or_query = staticmethod(pull_known)
    write_logged_features = staticmethod(write_log)

    @staticmethod
    def get_historical_features(
        config: RepoConfig,
        feature_views: list[FeatureView],
        feature_refs: list[str],
        entity_df: pd.DataFrame | str | None,
        registry: BaseRegistry,
        project: str,
        full_feature_names: bool = False,
        filter_by_created_timestamp: bool = False,
        **unsupported: Any,
    ) -> RetrievalJob:
        frame = require_frame(entity_df, unsupported)
        _validate_lance_feature_views(feature_views)
        rows = entity_rows(frame)
        asked = [
            AskedView(
                name=view.projection.name_to_use(),
                source=view.batch_source,
                join=view_join(view, features, as_known=filter_by_created_timestamp),
                # Columns are named without the version that a reference may carry, as Feast's store does.
                columns=tuple(
                    f"{view.projection.name_alias or view.name}__{feature}" if full_feature_names else feature
                    for feature in features
                ),
            )
            for view in feature_views
            if (features := _features_of(view, feature_refs))
        ]
        refuse_clashes(rows, [(view.name, view.join.keys.values(), view.columns) for view in asked])
        return AsofRetrievalJob(
            rows,
            asked,
            repo_path=str(config.repo_path),
            on_demand=OnDemandFeatureView.get_requested_odfvs(feature_refs, project, registry),
            full_feature_names=full_feature_names,
            metadata=RetrievalMetadata(
                features=feature_refs,
                keys=[c for c in frame.columns if c != rows.time_column],
                min_event_timestamp=rows.first,
                max_event_timestamp=rows.last,
            ),
        )


def _features_of(view: FeatureView, feature_refs: list[str]) -> tuple[str, ...]:
    prefix = f"{view.projection.name_to_use()}:"
    return tuple(ref.removeprefix(prefix) for ref in feature_refs if ref.startswith(prefix))
