"""The ranker's training set: candidates as they would have been retrieved, features as they were then."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from feast import FeatureStore

from feature_repo.features.columns import Columns, as_columns, take
from feature_repo.store.historical import features_at
from training.encoder import Encoder
from training.ranker_features import RETRIEVAL_FEATURES, CandidateRows, Requests, attribute_matrix, feature_matrix
from training.recommender import Recommender
from training.replay import ItemTimeline, Moment, user_rows
from training.retrieval.examples import SEEN
from training.slate import Request

Array = np.ndarray[Any, Any]

REQUESTS_AT_ONCE = 300  # bounds the memory of the padded buckets


@dataclass(frozen=True)
class RankerRows:
    """n candidates of r requests: matrix [n, f], relevance [n] (1: the user went on to it), request [n]."""

    matrix: Array
    relevance: Array
    request: Array
    item_ids: Array
    asked: list[Moment]

    def of(self, requests: Array) -> "RankerRows":
        """Only the rows of the numbered requests."""
        kept = np.isin(self.request, requests)
        return RankerRows(self.matrix[kept], self.relevance[kept], self.request[kept], self.item_ids[kept], self.asked)

    def with_positive(self) -> "RankerRows":
        """Without requests whose candidates hold no relevant item: they say nothing about order."""
        return self.of(np.unique(self.request[self.relevance > 0]))


def ranker_rows(
    store: FeatureStore,
    encoder: Encoder,
    recommender: Recommender,
    timeline: ItemTimeline,
    asked: list[Moment],
    on_request: Callable[[], None],
) -> RankerRows:
    """Retrieve candidates moment by moment, then join their features at those moments from the offline store."""
    parts, scores = [], []
    for number, (moment, user) in enumerate(zip(asked, user_rows(store, asked), strict=True)):
        recommender.items_changed(timeline.advance(moment.moment_us))
        retrieved = recommender.retrieve(Request(moment.user_id, moment.time, context=moment.context), user)
        ids = timeline.table.item_ids[retrieved.rows]
        parts.append((np.full(len(ids), number), ids, np.isin(ids, np.array(moment.items, object))))
        scores.append(retrieved.retrieval)
        on_request()
    request, item_ids, relevant = (np.concatenate(column) for column in zip(*parts, strict=True))
    retrieval = {name: np.concatenate([s[name] for s in scores]) for name in RETRIEVAL_FEATURES}
    matrix = _matrix(store, encoder, asked, request, item_ids, retrieval)
    return RankerRows(matrix, relevant.astype(np.float32), request, item_ids, asked)


def _matrix(
    store: FeatureStore,
    encoder: Encoder,
    asked: list[Moment],
    request: Array,
    item_ids: Array,
    retrieval: Columns,
) -> Array:
    parts = []
    for first in range(0, len(asked), REQUESTS_AT_ONCE):
        chunk = asked[first : first + REQUESTS_AT_ONCE]
        rows = np.flatnonzero((request >= first) & (request < first + len(chunk)))
        moments_us = np.array([m.moment_us for m in chunk], np.int64)
        users = _columns_at(store, "user_id", np.array([m.user_id for m in chunk], object), moments_us)
        of_row = request[rows] - first
        items = _columns_at(store, "item_id", item_ids[rows], moments_us[of_row])
        attributes = attribute_matrix(encoder.items, items, len(rows))
        candidates = CandidateRows(of_row, item_ids[rows], items, attributes, take(retrieval, rows))
        parts.append(feature_matrix(encoder, Requests(users, moments_us, [m.context for m in chunk]), candidates))
    return np.concatenate(parts)


def _columns_at(store: FeatureStore, key: str, keys: Array, moments_us: Array) -> Columns:
    table = features_at(store, key, keys, moments_us, services=["ranking"], leave_out=SEEN)
    return as_columns(table, [name for name in table.column_names if name not in (key, "event_timestamp")])
