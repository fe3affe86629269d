"""The recommender itself: a user's row, a moment and an item table in, a scored slate out. Replay and service run this.

Nothing here reads a store, a clock or a disk. Stages: scores of every retriever -> candidates -> one feature matrix ->
ranker -> the first k.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa

from feature_repo.core.steps import Steps, finish
from feature_repo.dataset.split import to_microseconds
from feature_repo.features.columns import Columns
from feature_repo.store.item_table import ItemTable, attributes
from training.asked import Asked, Asker
from training.bundle import Bundle, RankerFailed
from training.ranker_features import (
    LAST_ITEM_SCORE,
    CandidateRows,
    Requests,
    attribute_matrix,
    feature_matrix,
)
from training.retrieval import fusion
from training.retrieval.answers import Answer, answer_of, highest
from training.retrieval.catalogue import TableCatalogue
from training.retrieval.fusion import as_columns, lists_of, merge, no_retrieval
from training.retrieval.item_state import ItemState
from training.retrieval.near import nearness_over
from training.retrieval.popular_within import BY_CONTEXT, BY_SEGMENT
from training.retrieval.port import Queries
from training.slate import Candidates, RankedItem, Request, Slate, no_candidates

Array = np.ndarray[Any, Any]

TWO_TOWER, POPULAR = "two-tower", "popular-30d"
POPULARITY = frozenset({"popular", "popular-7d", POPULAR, BY_SEGMENT, BY_CONTEXT})


@dataclass(frozen=True)
class Scored:
    """What every retriever says of one query, with its list of the best that may be recommended; `allowed` is [m]."""

    query: Queries
    answers: Mapping[str, Answer]
    lists: Mapping[str, Array]
    allowed: Array


@dataclass(frozen=True)
class Retrieved:
    """Candidates before ranking: rows and ids of the item table [c], best fused first, and the retriever of each."""

    rows: Array
    item_ids: Array
    sources: Array
    retrieval: Columns
    request: Requests


class Recommender:
    """One bundle over one item table."""

    def __init__(self, bundle: Bundle, items: ItemTable, embeddings: Array, *, segments: bool = False) -> None:
        self._bundle = bundle
        self._items = items
        self._embeddings = embeddings
        self._settings = bundle.candidates
        self._item_attributes = attribute_matrix(bundle.encoder.items, items.columns, len(items))
        self.catalogue = TableCatalogue(items, bundle.encoder.item_ids, bundle.encoder.plan)
        self._nearness = nearness_over(bundle.index, self.catalogue, embeddings)
        self._asker = Asker(bundle, items, self.catalogue, segments=segments)

    @property
    def bundle(self) -> Bundle:
        return self._bundle

    @property
    def items(self) -> ItemTable:
        return self._items

    @property
    def embeddings(self) -> Array:
        """Unit vectors of the items, float32 [m, d]."""
        return self._embeddings

    @property
    def feature_names(self) -> tuple[str, ...]:
        return self._bundle.ranker_features

    def over(self, items: ItemTable) -> "Recommender":
        """The same bundle over another item table, ready for the day that this one answers for.

        What it costs grows with the items: it is for a thread beside those that answer.
        """
        renewed = build_recommender(self._bundle, items)
        renewed.catalogue.follow(self.catalogue)
        return renewed

    def prepare(self, moment: datetime) -> None:
        """Work out what holds for the day of `moment` before the first request of that day; costs as `over` does."""
        self.catalogue.prepare(to_microseconds(moment))

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

    def ask(self, requests: Sequence[Request], users: pa.Table) -> list[Asked]:
        """Many requests made ready at once, with a table of their users' raw rows in the same order."""
        return self._asker.many(requests, users)

    def score(self, asked: Asked, *, allowed: Array | None = None) -> Scored:
        """What every retriever says; where `allowed` [m] is False an item is in no list."""
        return finish(self._score(asked, allowed))

    def _score(self, asked: Asked, allowed: Array | None) -> Steps[Scored]:
        may, depth = self._allowed(asked.hidden, allowed), self._settings.depth
        answers: dict[str, Answer] = {TWO_TOWER: self._nearness.answer(asked.embedding)}
        lists = lists_of(answers, may, depth)
        yield
        for retriever in self._bundle.retrievers:
            name, answer = retriever.name, answer_of(retriever, asked.query, self.catalogue)
            # At once, while what was said is in the processor's caches.
            answers[name], lists[name] = answer, answer.best(depth, may)
        yield
        return Scored(asked.query, answers, lists, may)

    def retrieve(self, request: Request, user: Mapping[str, Any], *, allowed: Array | None = None) -> Retrieved:
        """Candidates from every retriever, without what is excluded or, where repeats are forbidden, was seen.

        Where `allowed` [m] is False an item is left out besides.
        """
        return finish(self.retrieve_in_steps(request, user, allowed=allowed))

    def retrieve_in_steps(
        self, request: Request, user: Mapping[str, Any], *, allowed: Array | None = None
    ) -> Steps[Retrieved]:
        """The same, with rests."""
        asked = self._asker.one(request, user)
        yield
        scored = yield from self._score(asked, allowed)
        yield
        return self.candidates(scored)

    def popular(self, request: Request, user: Mapping[str, Any], *, allowed: Array | None = None) -> Retrieved:
        """Candidates by popularity alone, of the user's segment and the request's context where a retriever says so.

        It needs no tower and no index. What the other retrievers would have said is NaN, at the rank after the last.
        """
        query, may = self._asker.query(request, user), self._allowed(self._asker.hidden(request, user), allowed)
        popular = {r.name: r for r in (ItemState(POPULAR), *self._bundle.retrievers) if r.name in POPULARITY}
        answers = {name: answer_of(retriever, query, self.catalogue) for name, retriever in popular.items()}
        depth = max(self._settings.depth, self._settings.total)
        found = merge(answers, lists_of(answers, may, depth), depth=depth, total=self._settings.total)
        retrieval = no_retrieval(self._bundle.manifest.retrievers, len(found.rows), depth=self._settings.depth)
        for name, values in as_columns(tuple(popular), found).items():
            if name in retrieval:
                retrieval[name] = np.minimum(values, self._settings.depth + 1) if name.endswith("_rank") else values
        return self._retrieved(query, found, tuple(popular), retrieval)

    def candidates(self, scored: Scored) -> Retrieved:
        """The candidates of one query, from its scores."""
        names = tuple(scored.answers)
        found = merge(scored.answers, scored.lists, depth=self._settings.depth, total=self._settings.total)
        return self._retrieved(scored.query, found, names, as_columns(names, found))

    def _retrieved(
        self, query: Queries, found: fusion.Candidates, names: Sequence[str], retrieval: Columns
    ) -> Retrieved:
        retrieval = {**retrieval, LAST_ITEM_SCORE: self._nearness_to_last(query.history[0], found.rows)}
        sources = np.array(names, object)[found.source]
        request = Requests(query.users, query.moments_us, query.contexts)
        return Retrieved(found.rows, self._items.item_ids.take(found.rows), sources, retrieval, request)

    def features(self, retrieved: Retrieved) -> Array:
        """The ranker's matrix [c, f] for retrieved candidates."""
        return feature_matrix(self._bundle.encoder, retrieved.request, self.candidate_rows(retrieved))

    def candidate_rows(self, retrieved: Retrieved, *, request: int = 0) -> CandidateRows:
        """Candidates with the items' state as it is now, as those of the request of this number."""
        rows = retrieved.rows
        return CandidateRows(
            request=np.full(len(rows), request, np.int64),
            item_ids=retrieved.item_ids,
            tastes=self.catalogue.tastes(rows),
            attributes=self._item_attributes.take(rows, axis=0),
            retrieval=retrieved.retrieval,
            features=self.catalogue.features(rows, int(retrieved.request.moments_us[0])),
        )

    def rank_scores(self, matrix: Array) -> Array:
        """The ranker's scores [c] of candidates' features [c, f].

        Raises:
            RankerFailed: the ranker does not work, or takes other features.
        """
        return self._bundle.rank(matrix)

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
            scores = self.rank_scores(matrix)
        except RankerFailed:
            scores, degraded = -np.arange(len(matrix), dtype=np.float32), (*degraded, "ranker")
        first = highest(np.arange(len(scores)), scores, request.k)
        columns = (column.take(first).tolist() for column in (retrieved.item_ids, scores, retrieved.sources))
        items = tuple(
            RankedItem(item, score, rank, source)
            for rank, (item, score, source) in enumerate(zip(*columns, strict=True), start=1)
        )
        return Slate(items, Candidates(retrieved.item_ids, retrieved.sources, matrix, scores), degraded)

    def _allowed(self, hidden: Array, besides: Array | None) -> Array:
        allowed: Array = self._items.known.copy() if besides is None else self._items.known & besides
        allowed[hidden] = False
        return allowed

    def _nearness_to_last(self, history: Array, rows: Array) -> Array:
        """Cosine of each candidate and the newest item of the history; NaN where there is none in the table."""
        if history[-1] < 0:
            return np.full(len(rows), np.nan, np.float32)
        nearness: Array = self._embeddings.take(rows, axis=0) @ self._embeddings[history[-1]]
        return nearness

    def _answer(self, scores: Array, k: int, source: str) -> tuple[RankedItem, ...]:
        rows = np.flatnonzero(np.isfinite(scores))
        return tuple(
            RankedItem(str(self._items.item_ids[row]), float(scores[row]), rank, source)
            for rank, row in enumerate(highest(rows, scores[rows], k), start=1)
        )


def build_recommender(bundle: Bundle, items: ItemTable, *, segments: bool = False) -> Recommender:
    """Open a bundle over an item table; an item that training did not know is embedded by its features.

    Queries hold the user's segment where one of the bundle's retrievers needs it, or where `segments` asks for it.
    """
    return Recommender(bundle, items, bundle.embed_items(items.item_ids, items.columns), segments=segments)
