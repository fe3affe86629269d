"""The recommender itself: a user's row, a moment and an item table in, a scored slate out. Replay and service run this.

Nothing here reads a store, a clock or a disk. Stages: scores of every retriever -> candidates -> one feature matrix ->
ranker -> the first k.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xgboost as xgb

from feature_repo.dataset.split import to_microseconds
from feature_repo.features.columns import Columns, row_as_columns
from feature_repo.features.user import user_features_at
from feature_repo.store.item_table import ItemTable, attributes
from feature_repo.transforms.sequences import HISTORY_ITEMS
from training.bundle import Bundle
from training.ranker_features import (
    LAST_ITEM_SCORE,
    CandidateRows,
    Requests,
    attribute_matrix,
    feature_matrix,
    item_columns,
)
from training.retrieval.catalogue import TableCatalogue
from training.retrieval.fusion import as_columns, best, fuse, score_feature
from training.retrieval.port import Queries, spread
from training.retrieval.queries import queries_of
from training.slate import Candidates, RankedItem, Request, Slate, no_candidates

Array = np.ndarray[Any, Any]

TWO_TOWER, POPULAR = "two-tower", "popular-30d"
# Read as plain lists, or not at all, by the stages below.
_NOT_COLUMNS = frozenset({"seen_items"})


@dataclass(frozen=True)
class Scored:
    """What every retriever says of every item [m], before candidates are chosen."""

    queries: Queries
    embedding: Array
    scores: Mapping[str, Array]
    allowed: Array


@dataclass(frozen=True)
class Retrieved:
    """Candidates before ranking: rows of the item table [c], best fused first, and the retriever of each."""

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
        self.catalogue = TableCatalogue(items, bundle.encoder.item_ids)

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
            return self.rank(request, self.retrieve(request, {}), ("features",))
        return self.rank(request, self.retrieve(request, user))

    def score(self, request: Request, user: Mapping[str, Any]) -> Scored:
        """Every retriever's scores of all items, and which of them may be recommended."""
        moment = to_microseconds(request.moment)
        columns = row_as_columns(_with_session(user, request.session, moment), self._user_schema)
        queries = self._queries(request, columns, np.array([moment], np.int64))
        query = self._bundle.embed_query(queries.user_ids, columns, queries.moments_us, queries.contexts)[0]
        allowed = self._allowed(request, user)
        scores = {TWO_TOWER: self._near(query, allowed)}
        for retriever in self._bundle.retrievers:
            scores[retriever.name] = retriever.scores(queries, self.catalogue)[0]
        return Scored(queries, query, scores, allowed)

    def retrieve(self, request: Request, user: Mapping[str, Any]) -> Retrieved:
        """Candidates from every retriever, without what is excluded or, where repeats are forbidden, was seen."""
        return self.candidates(self.score(request, user))

    def candidates(self, scored: Scored) -> Retrieved:
        """The candidates of one query, from its scores."""
        names, queries = tuple(scored.scores), scored.queries
        found = fuse(
            {name: scores[None, :] for name, scores in scored.scores.items()},
            scored.allowed[None, :],
            depth=self._settings.depth,
            total=self._settings.total,
        )
        retrieval = as_columns(names, found)
        # A graph says nothing of items that are far; among candidates every cosine is known.
        retrieval[score_feature(TWO_TOWER)] = self._embeddings[found.rows] @ scored.embedding
        retrieval[LAST_ITEM_SCORE] = self._nearness_to_last(queries.history[0], found.rows)
        sources = np.array(names, object)[found.source]
        return Retrieved(found.rows, sources, retrieval, Requests(queries.users, queries.moments_us, queries.contexts))

    def _near(self, query: Array, allowed: Array) -> Array:
        """Cosine of `query` and every item [m]; in a large catalogue only that of the nearest ones."""
        index, known = self._bundle.index, self.catalogue.known
        if index.graph is None:
            return np.asarray(self._embeddings @ query)
        of_index = np.zeros(len(index.vectors), bool)
        of_index[known[known >= 0]] = allowed[known >= 0]
        found = index.search(query[None, :], self._settings.depth, of_index[None, :]).spread(len(of_index))
        scores: Array = spread(found, self.catalogue)[0]
        scores[known < 0] = self._embeddings[known < 0] @ query
        return scores

    def _queries(self, request: Request, columns: Columns, moments_us: Array) -> Queries:
        encoder = self._bundle.encoder
        return queries_of(
            np.array([request.user_id], object),
            columns,
            moments_us,
            [request.context],
            segments=encoder.segments.assign(user_features_at(encoder.plan, columns, moments_us)).astype(np.int64),
            table=self._items,
            known=self.catalogue.known,
            vocabulary=len(encoder.item_ids) - 1,
            half_life=self._settings.half_life,
        )

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
            counts = self.catalogue.state(to_microseconds(self._items.as_of))
            popularity = counts["item_events_30d"] + counts["item_events"] * 1e-6
            return self._answer(popularity, k, POPULAR)
        near = self._embeddings @ self._embeddings[row]
        near[row] = -np.inf
        return self._answer(near, k, TWO_TOWER)

    def item(self, item_id: str) -> Mapping[str, Any]:
        """What a person may want to read about an item; empty for an unknown one."""
        shown = attributes(self._items, item_id)
        return {name: shown[name] for name in self._bundle.item_attributes if name in shown}

    def items_changed(self, rows: Array) -> None:
        """Take notice of new state in `rows` of the item table."""
        self.catalogue.changed(rows)

    def rank(self, request: Request, retrieved: Retrieved, degraded: tuple[str, ...] = ()) -> Slate:
        """The slate from candidates; without a working ranker in the order of retrieval."""
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
        if history[-1] < 0:
            return np.full(len(rows), np.nan, np.float32)
        nearness: Array = self._embeddings[rows] @ self._embeddings[history[-1]]
        return nearness

    def _answer(self, scores: Array, k: int, source: str) -> tuple[RankedItem, ...]:
        rows = best(scores[None, :], k)[0]
        return tuple(
            RankedItem(str(self._items.item_ids[row]), float(scores[row]), rank, source)
            for rank, row in enumerate(rows[np.isfinite(scores[rows])], start=1)
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
