"""The ranker's training set: candidates as they would have been retrieved, features as they were then."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from feast import FeatureStore

from feature_repo.features.columns import Columns, as_columns, take
from feature_repo.store.historical import features_at
from training.bundle import Bundle
from training.encoder import Encoder
from training.ranker_features import CandidateRows, Requests, attribute_matrix, feature_matrix
from training.ranking.relevance import answers
from training.recommender import Recommender
from training.replay import ItemTimeline, Moment, user_rows
from training.retrieval.examples import SEEN
from training.slate import Candidates, Request

Array = np.ndarray[Any, Any]

REQUESTS_AT_ONCE = 300  # bounds the memory of the padded buckets


@dataclass(frozen=True)
class RankerRows:
    """n candidates of r requests, request by request, best fused first.

    matrix [n, f], `answered` [n, t] which of the `event_types` the user went on to it with, request [n], item_ids [n],
    and the champion's scores [n] where it was asked.
    """

    matrix: Array
    answered: Array
    event_types: tuple[str, ...]
    request: Array
    item_ids: Array
    asked: list[Moment]
    champion: Array | None = None

    @cached_property
    def relevance(self) -> Array:
        """1.0 where the user went on to it [n]."""
        return np.asarray(self.answered.any(axis=1), np.float32)

    def of(self, requests: Array) -> "RankerRows":
        """Only the rows of the numbered requests."""
        return self._take(np.flatnonzero(np.isin(self.request, requests)))

    def first(self, count: int) -> "RankerRows":
        """Only the `count` first candidates of each request."""
        place = np.arange(len(self.request)) - np.searchsorted(self.request, self.request)
        return self._take(np.flatnonzero(place < count))

    def also_answered(self, answered: Array) -> "RankerRows":
        """With more answers [n, t]."""
        return replace(self, answered=self.answered | answered)

    def _take(self, rows: Array) -> "RankerRows":
        champion = None if self.champion is None else self.champion[rows]
        return replace(
            self,
            matrix=self.matrix[rows],
            answered=self.answered[rows],
            request=self.request[rows],
            item_ids=self.item_ids[rows],
            champion=champion,
        )


def ranker_rows(
    store: FeatureStore,
    bundle: Bundle,
    recommender: Recommender,
    timeline: ItemTimeline,
    asked: list[Moment],
    on_request: Callable[[], None],
    *,
    event_types: tuple[str, ...],
    teacher: Recommender | None = None,
) -> RankerRows:
    """Retrieve candidates moment by moment, then join their features at those moments from the offline store."""
    parts, retrieval, taught = [], [], []
    for number, (moment, user) in enumerate(zip(asked, user_rows(store, asked), strict=True)):
        changed = timeline.advance(moment.moment_us)
        recommender.items_changed(changed)
        request = Request(moment.user_id, moment.time, context=moment.context)
        found = recommender.retrieve(request, user)
        ids = timeline.table.item_ids[found.rows]
        parts.append((np.full(len(ids), number), ids))
        retrieval.append(found.retrieval)
        if teacher:
            teacher.items_changed(changed)
            taught.append(_taught(teacher.recommend(request, user).candidates, ids))
        on_request()
    numbers, item_ids = (np.concatenate(column) for column in zip(*parts, strict=True))
    columns = {name: np.concatenate([found[name] for found in retrieval]) for name in retrieval[0]}
    matrix = _matrix(store, bundle.encoder, asked, numbers, item_ids, columns)
    events = [(n, item, kind) for n, m in enumerate(asked) for item, kind in zip(m.items, m.event_types, strict=True)]
    answered = answers(numbers, item_ids, events, event_types)
    champion = np.concatenate(taught) if teacher else None
    return RankerRows(matrix, answered, event_types, numbers, item_ids, asked, champion)


def _taught(champion: Candidates, item_ids: Array) -> Array:
    """The champion's scores of `item_ids` [c]; what is no candidate of its own is below all of those."""
    known = dict(zip(champion.item_ids.tolist(), champion.scores.tolist(), strict=True))
    lowest = min(known.values(), default=0.0) - 1.0
    return np.array([known.get(item, lowest) for item in item_ids], np.float32)


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
