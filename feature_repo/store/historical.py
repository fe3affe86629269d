"""Features as they were: the only way from the offline store to a training set."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
import pyarrow as pa
from feast import FeatureStore

from feature_repo.store.open import SERVICES, references, stored_features


def features_at(
    store: FeatureStore,
    join_key: str,
    keys: "np.ndarray[tuple[int], np.dtype[np.object_]]",
    moments_us: "np.ndarray[tuple[int], np.dtype[np.int64]]",
    *,
    services: Iterable[str] = SERVICES,
    leave_out: frozenset[str] = frozenset(),
) -> pa.Table:
    """The stored features of `keys` [n] at `moments_us` [n] (UTC microseconds), in this order, n rows.

    Only what `services` read of the entity with `join_key` is fetched, without the views in `leave_out`. A row that was
    recorded after a moment is not seen at it.
    """
    stored = {v: names for v, names in stored_features(store, join_key, services).items() if v not in leave_out}
    # A nanosecond stamp with a zone cannot be cast by DuckDB, so microseconds throughout.
    moments = pd.to_datetime(moments_us, unit="us", utc=True).astype("datetime64[us, UTC]")
    frame = pd.DataFrame({join_key: keys, "event_timestamp": moments})
    return store.get_historical_features(
        entity_df=frame, features=references(stored), filter_by_created_timestamp=any_recorded(store, stored)
    ).to_arrow()


def any_recorded(store: FeatureStore, views: Iterable[str]) -> bool:
    """Whether a row of `views` may have been recorded later than it holds from."""
    return any(store.get_feature_view(view).batch_source.created_timestamp_column for view in views)
