"""The ranker's training set: candidates as they would have been retrieved, features as they were then."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from feast import FeatureStore

from feature_repo.features.columns import as_columns
from feature_repo.features.pairs import labels_of
from feature_repo.store.historical import features_at
from feature_repo.store.open import stored_features
from training.asked import Asked
from training.encoder import Encoder
from training.ranker_features import CandidateRows, attribute_matrix, feature_matrix
from training.ranking.relevance import answers
from training.recommender import Recommender
from training.replay import ATTRIBUTES, ItemTimeline, Moment
from training.turns import Found, in_turn, joined

Array = np.ndarray[Any, Any]


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
    recommender: Recommender,
    timeline: ItemTimeline,
    asked: list[Moment],
    on_request: Callable[[], None],
    *,
    event_types: tuple[str, ...],
    teacher: Recommender | None = None,
) -> RankerRows:
    """Retrieve candidates moment by moment, with the features that they have at those moments."""
    parts, matrices, taught = [], [], []
    encoder, recommenders = recommender.bundle.encoder, (recommender, teacher) if teacher else (recommender,)
    for turns in in_turn(store, recommenders, timeline, asked, k=1):
        found: list[Found] = []
        for number, (one, *same) in turns:
            retrieved = recommender.candidates(recommender.score(one))
            # Features are taken now: the next request finds the items in another state.
            found.append((retrieved, recommender.candidate_rows(retrieved, request=len(found))))
            ids = timeline.table.item_ids[retrieved.rows]
            parts.append((np.full(len(ids), number), ids))
            if teacher:
                taught.append(_taught(teacher, same[0], ids))
            on_request()
        requests, rows = joined(found)
        if timeline.attributes_move:
            rows = _with_attributes(store, encoder, rows, requests.moments_us)
        matrices.append(feature_matrix(encoder, requests, rows))
    numbers, item_ids = (np.concatenate(column) for column in zip(*parts, strict=True))
    events = [(n, item, kind) for n, m in enumerate(asked) for item, kind in zip(m.items, m.event_types, strict=True)]
    answered = answers(numbers, item_ids, events, event_types)
    champion = np.concatenate(taught) if teacher else None
    return RankerRows(np.concatenate(matrices), answered, event_types, numbers, item_ids, asked, champion)


def _taught(champion: Recommender, asked: Asked, item_ids: Array) -> Array:
    """The champion's scores of `item_ids` [c]; what is no candidate of its own is below all of those."""
    retrieved = champion.candidates(champion.score(asked))
    matrix = champion.features(retrieved)
    scores = champion.rank_scores(matrix).tolist() if len(matrix) else []
    known = dict(zip(champion.items.item_ids[retrieved.rows].tolist(), scores, strict=True))
    lowest = min(known.values(), default=0.0) - 1.0
    return np.array([known.get(item, lowest) for item in item_ids], np.float32)


def _with_attributes(store: FeatureStore, encoder: Encoder, rows: CandidateRows, moments_us: Array) -> CandidateRows:
    """Candidates with the attributes that the store has for their requests' moments [r]: a timeline keeps the first."""
    others = frozenset(stored_features(store, "item_id")) - {ATTRIBUTES}
    table = features_at(store, "item_id", rows.item_ids, moments_us[rows.request], leave_out=others)
    columns = as_columns(table, [name for name in table.column_names if name not in ("item_id", "event_timestamp")])
    return replace(
        rows,
        tastes={name: labels_of(columns[name]) for name in encoder.plan.tastes},
        attributes=attribute_matrix(encoder.items, columns, len(rows.item_ids)),
    )
