"""The edge to the feature store: what point-in-time retrieval, and the functions of training, give for given states.

The same calls as training's own: `features_at` for stored features, `feature_matrix` for everything made of them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from feast import FeatureStore

from feature_repo.core.workspace import Workspace
from feature_repo.features.columns import Columns, as_columns
from feature_repo.features.item import item_features_at
from feature_repo.features.pairs import labels_of
from feature_repo.store.historical import features_at
from monitoring.skew.served import Served
from monitoring.skew.state import UNKNOWN, History
from training.encoder import Encoder
from training.ranker_features import LAST_ITEM_SCORE, CandidateRows, Requests, attribute_matrix, feature_matrix
from training.retrieval.examples import SEEN
from training.retrieval.fusion import retrieval_features

Array = np.ndarray[Any, Any]

REQUESTS_AT_ONCE = 300  # bounds the memory of the padded lists


@dataclass(frozen=True)
class Retrieval:
    """A feature store with the fitted parameters and the retrievers of the version that served."""

    store: FeatureStore
    encoder: Encoder
    retrievers: tuple[str, ...]

    def rows(self, user_ids: Array, states_us: Array) -> list[Mapping[str, Any]]:
        """The raw user rows [r] as they were known at `states_us` [r]."""
        if not len(user_ids):
            return []
        table = features_at(self.store, "user_id", user_ids, states_us).drop(["user_id", "event_timestamp"])
        rows: list[Mapping[str, Any]] = table.to_pylist()
        return rows

    def matrix(self, served: Served, user_ids: Array, *, users_us: Array, items_us: Array) -> Array:
        """The ranker's matrix [n, f] for the requests' own moments, over users and items as they were known at
        `users_us` [r] and `items_us` [r]. What retrieval said and what the caller told is not there: NaN and 0."""
        parts = [np.zeros((0, served.matrix.shape[1]), np.float32)]
        for first in range(0, len(served), REQUESTS_AT_ONCE):
            chosen = np.arange(first, min(first + REQUESTS_AT_ONCE, len(served)))
            part = served.of(chosen)
            parts.append(self._matrix(part, user_ids[chosen], users_us[chosen], items_us[chosen]))
        return np.concatenate(parts)

    def _matrix(self, served: Served, user_ids: Array, users_us: Array, items_us: Array) -> Array:
        users = self._columns("user_id", user_ids, users_us)
        items = self._columns("item_id", served.item_ids, items_us[served.request])
        missing = np.full(len(served.item_ids), np.nan, np.float32)
        candidates = CandidateRows(
            served.request,
            served.item_ids,
            {name: labels_of(items[name]) for name in self.encoder.plan.tastes},
            attribute_matrix(self.encoder.items, items, len(served.item_ids)),
            dict.fromkeys((*retrieval_features(self.retrievers), LAST_ITEM_SCORE), missing),
            np.stack([*item_features_at(self.encoder.plan, items, served.moments_us[served.request]).values()], axis=1),
        )
        requests = Requests(users, served.moments_us, [{}] * len(served))
        return feature_matrix(self.encoder, requests, candidates)

    def _columns(self, key: str, keys: Array, states_us: Array) -> Columns:
        table = features_at(self.store, key, keys, states_us, services=["ranking"], leave_out=SEEN)
        return as_columns(table, [name for name in table.column_names if name not in (key, "event_timestamp")])


def histories(workspace: Workspace, key: str, wanted: Iterable[str]) -> dict[str, History]:
    """When the state of each wanted user or item changed; one that has no events is not there."""
    view, prefix = ("user_activity", "user") if key == "user_id" else ("item_popularity", "item")
    names = [key, "event_timestamp", f"{prefix}_event_count", f"{prefix}_last_event"]
    table = pq.read_table(workspace.tables / f"{view}.parquet", columns=names)
    table = table.filter(pc.is_in(table[key], pa.array(sorted(set(wanted)), pa.string())))
    table = table.sort_by([(key, "ascending"), ("event_timestamp", "ascending")])
    keys = table[key].to_numpy()
    stamps, counts, lasts = (
        table[name].cast(pa.int64()).to_numpy() if name != "event_timestamp" else _microseconds(table[name])
        for name in names[1:]
    )
    found, starts = np.unique(keys.astype(str), return_index=True) if len(keys) else (np.array([]), np.array([]))
    ends = [*starts[1:].tolist(), len(keys)]
    return {
        str(name): History(stamps[start:end], counts[start:end], lasts[start:end])
        for name, start, end in zip(found.tolist(), starts.tolist(), ends, strict=False)
    }


def history_of(known: Mapping[str, History], key: str) -> History:
    return known.get(key, UNKNOWN)


def _microseconds(column: pa.ChunkedArray) -> Array:
    stamps: Array = column.cast(pa.timestamp("us", "UTC")).cast(pa.int64()).to_numpy()
    return stamps
