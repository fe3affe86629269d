"""The recommender itself: a user's row, a moment and an item table in, a scored slate out. Replay and service run this.

Nothing here reads a store, a clock or a disk. Stages: query tower -> candidates (two-tower index, then popular
items) -> one feature matrix -> ranker -> the first k.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xgboost as xgb

from feature_repo.dataset.split import to_microseconds
from feature_repo.features.columns import Columns, row_as_columns, take
from feature_repo.features.request import state_at
from feature_repo.store.item_table import ItemTable, attributes
from feature_repo.transforms.moments import MICROSECONDS_A_DAY
from feature_repo.transforms.sequences import HISTORY_ITEMS
from training.bundle import Bundle
from training.ranker_features import CandidateRows, Requests, attribute_matrix, feature_matrix, item_columns
from training.slate import Candidates, RankedItem, Request, Slate, no_candidates

Array = np.ndarray[Any, Any]

TWO_TOWER, POPULAR = "two-tower", "popular"
# Read as plain lists, or not at all, by the stages below.
_NOT_COLUMNS = frozenset({"seen_items"})


@dataclass(frozen=True)
class Retrieved:
    """Candidates before ranking: rows of the item table [c], best of the two-tower first, then popular ones."""

    rows: Array
    sources: Array
    retrieval: Columns
    request: Requests


class Recommender:
    """One bundle over one item table."""

    def __init__(self, bundle: Bundle, items: ItemTable, embeddings: Array) -> None:
        self._bundle = bundle
        self._items = items
        self._embeddings = embeddings
        self._settings = bundle.candidates
        self._user_schema = {n: kind for n, kind in bundle.user_features.items() if n not in _NOT_COLUMNS}
        self._item_columns = item_columns(bundle.encoder)
        self._item_attributes = attribute_matrix(bundle.encoder.items, items.columns, len(items))
        self._popularity_day = -1
        self._popularity: Array = np.zeros(len(items))

    @property
    def feature_names(self) -> tuple[str, ...]:
        return self._bundle.ranker_features

    def recommend(self, request: Request, user: Mapping[str, Any] | None) -> Slate:
        """The `request.k` best items for the raw feature row `user`.

        An unknown user is an empty row. `user` is None when the store did not answer: then the row is taken as empty,
        and where repeats are forbidden the slate stays empty, since what was seen is not known.
        """
        if user is None:
            if not self._bundle.repeat_consumption:
                return Slate((), no_candidates(len(self.feature_names)), ("features", "seen"))
            return self._ranked(request, self.retrieve(request, {}), ("features",))
        return self._ranked(request, self.retrieve(request, user), ())

    def retrieve(self, request: Request, user: Mapping[str, Any]) -> Retrieved:
        """Candidates from every retriever, without what is excluded or, where repeats are forbidden, was seen."""
        moment = to_microseconds(request.moment)
        columns = row_as_columns(_with_session(user, request.session, moment), self._user_schema)
        moment_us = np.array([moment], np.int64)
        query = self._bundle.embed_query(np.array([request.user_id], object), columns, moment_us, [request.context])[0]
        allowed = self._allowed(request, user)
        similarity = np.where(allowed, self._embeddings @ query, -np.inf)
        popularity = np.where(allowed, self._popular(moment), -np.inf)
        near = _best(similarity, self._settings.two_tower)
        by_popularity = _best(popularity, self._settings.total)
        rest = by_popularity[~np.isin(by_popularity, near)][: self._settings.total - len(near)]
        rows = np.concatenate([near, rest])
        sources = np.array([TWO_TOWER] * len(near) + [POPULAR] * len(rest), object)
        places = np.full(len(self._items), self._settings.total + 1, np.float32)
        places[by_popularity] = np.arange(1, len(by_popularity) + 1)
        retrieval = {
            "two_tower_score": similarity[rows].astype(np.float32),
            "two_tower_rank": _ranks(similarity[rows]),
            "last_item_score": self._nearness_to_last(columns["history_items"], rows),
            "popular_rank": places[rows],
        }
        return Retrieved(rows, sources, retrieval, Requests(columns, moment_us, [request.context]))

    def features(self, retrieved: Retrieved) -> Array:
        """The ranker's matrix [c, f] for retrieved candidates."""
        rows = retrieved.rows
        candidates = CandidateRows(
            request=np.zeros(len(rows), np.int64),
            item_ids=self._items.item_ids[rows],
            items={name: self._items.columns[name][rows] for name in self._item_columns},
            attributes=self._item_attributes[rows],
            retrieval=retrieved.retrieval,
        )
        return feature_matrix(self._bundle.encoder, retrieved.request, candidates)

    def similar(self, item_id: str, k: int) -> tuple[RankedItem, ...]:
        """The k items nearest to `item_id` in the item tower; for an unknown item the most popular ones."""
        row = self._items.rows.get(item_id)
        if row is None:
            popularity = self._popular(to_microseconds(self._items.as_of))
            return self._answer(_best(popularity, k), popularity, POPULAR)
        near = self._embeddings @ self._embeddings[row]
        near[row] = -np.inf
        return self._answer(_best(near, k), near, TWO_TOWER)

    def item(self, item_id: str) -> Mapping[str, Any]:
        """What a person may want to read about an item; empty for an unknown one."""
        shown = attributes(self._items, item_id)
        return {name: shown[name] for name in self._bundle.item_attributes if name in shown}

    def items_changed(self, rows: Array) -> None:
        """Take notice of new state in `rows` of the item table."""
        if self._popularity_day >= 0 and len(rows):
            self._popularity[rows] = self._count(take(self._items.columns, rows), self._popularity_day)

    def _ranked(self, request: Request, retrieved: Retrieved, degraded: tuple[str, ...]) -> Slate:
        matrix = self.features(retrieved)
        if len(matrix) == 0:
            return Slate((), no_candidates(matrix.shape[1]), degraded)
        try:
            scores = self._bundle.rank(matrix)
        except xgb.core.XGBoostError:
            scores, degraded = -np.arange(len(matrix), dtype=np.float32), (*degraded, "ranker")
        ids = self._items.item_ids[retrieved.rows]
        order = np.argsort(-scores, kind="stable")[: request.k]
        items = tuple(
            RankedItem(str(ids[place]), float(scores[place]), rank, str(retrieved.sources[place]))
            for rank, place in enumerate(order, start=1)
        )
        return Slate(items, Candidates(ids, retrieved.sources, matrix, scores), degraded)

    def _allowed(self, request: Request, user: Mapping[str, Any]) -> Array:
        allowed = self._items.known.copy()
        hidden: set[str] = set(request.exclude)
        if not self._bundle.repeat_consumption:
            hidden.update(user.get("seen_items") or (), request.session)
        allowed[[self._items.rows[i] for i in hidden if i in self._items.rows]] = False
        return allowed

    def _nearness_to_last(self, history: Array, rows: Array) -> Array:
        """Cosine of each candidate and the newest item of the history; NaN where there is none in the table."""
        last = self._items.rows.get(history[0, -1])
        if last is None:
            return np.full(len(rows), np.nan, np.float32)
        nearness: Array = self._embeddings[rows] @ self._embeddings[last]
        return nearness

    def _popular(self, moment_us: int) -> Array:
        today = moment_us // MICROSECONDS_A_DAY
        if today != self._popularity_day:
            self._popularity, self._popularity_day = self._count(self._items.columns, today), today
        return self._popularity

    def _count(self, columns: Columns, today: int) -> Array:
        noon = np.full(len(columns["item_days"]), today * MICROSECONDS_A_DAY + MICROSECONDS_A_DAY // 2, np.int64)
        window = f"item_events_{self._settings.popular_window_days}d"
        counts = state_at("item", columns, noon)
        # All-time events break ties and carry a log that is older than the window.
        return counts[window].astype(np.float64) + counts["item_events"] * 1e-6

    def _answer(self, rows: Array, scores: Array, source: str) -> tuple[RankedItem, ...]:
        return tuple(
            RankedItem(str(self._items.item_ids[row]), float(scores[row]), rank, source)
            for rank, row in enumerate(rows, start=1)
        )


def build_recommender(bundle: Bundle, items: ItemTable) -> Recommender:
    """Open a bundle over an item table; an item that training did not know is embedded by its features."""
    return Recommender(bundle, items, bundle.embed_items(items.item_ids, items.columns))


def _with_session(user: Mapping[str, Any], session: Sequence[str], moment_us: int) -> Mapping[str, Any]:
    """The user's row with the items of this visit at the end of the history, as met just now."""
    if not session:
        return user
    items = [*(user.get("history_items") or ()), *session][-HISTORY_ITEMS:]
    times = [*(user.get("history_times") or ()), *[moment_us] * len(session)][-HISTORY_ITEMS:]
    return {**user, "history_items": items, "history_times": times}


def _best(scores: Array, count: int) -> Array:
    """Positions of the `count` highest finite scores, best first; equal scores keep their order."""
    count = min(count, len(scores))
    if count <= 0:
        return np.zeros(0, np.int64)
    found = np.argpartition(-scores, count - 1)[:count]
    found = found[np.lexsort((found, -scores[found]))]
    return found[np.isfinite(scores[found])]


def _ranks(scores: Array) -> Array:
    ranks = np.empty(len(scores), np.float32)
    ranks[np.argsort(-scores, kind="stable")] = np.arange(1, len(scores) + 1)
    return ranks
