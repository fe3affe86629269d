"""Requests made ready for retrieval: raw user rows as queries, with the query tower's vectors and what must not come.

One request comes with a row as the online store gives it, many come with a table of rows; both are the same afterwards.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from scipy import sparse

from feature_repo.dataset.split import to_microseconds
from feature_repo.features.columns import Columns, as_columns, row_as_columns, row_reader, take
from feature_repo.features.user import user_features_at
from feature_repo.store.item_table import ItemTable
from feature_repo.transforms.state import HISTORY_ITEMS
from training.bundle import Bundle
from training.encoder import TOWER_HISTORY
from training.retrieval.answers import Kept
from training.retrieval.popular_within import BY_SEGMENT
from training.retrieval.port import Queries
from training.retrieval.queries import queries_of
from training.slate import Request

Array = np.ndarray[Any, Any]

SEEN, HIDDEN = "seen_items", "hidden_items"  # read as plain lists of ids, and by no model


@dataclass(frozen=True)
class Asked:
    """One request: its query, the query tower's vector [d], and rows of the item table that must not come [h]."""

    query: Queries
    embedding: Array
    hidden: Array


class Asker:
    """Turns requests to one bundle over one item table into queries; `segments` where a retriever needs the user's."""

    def __init__(self, bundle: Bundle, items: ItemTable, catalogue: Kept, *, segments: bool) -> None:
        self._bundle = bundle
        self._ids = items.rows
        self._catalogue = catalogue
        self._segments = segments or any(retriever.name == BY_SEGMENT for retriever in bundle.retrievers)
        self._schema = {n: kind for n, kind in bundle.user_features.items() if n not in (SEEN, HIDDEN)}
        self._columns = row_reader(self._schema)

    def one(self, request: Request, user: Mapping[str, Any]) -> Asked:
        """A request with its user's row."""
        ids, met = self._hidden_ids(request, user), user.get("history_items")
        rows, history = self._ids.of(ids), None
        if met and not request.session and ids[-len(met) :] == met:
            history = rows[-len(met) :]  # what was met last is what was seen last, and not looked up again
        query = self.query(request, user, history=history)
        return Asked(query, self._embed(query)[0], rows[rows >= 0])

    def query(self, request: Request, user: Mapping[str, Any], *, history: Array | None = None) -> Queries:
        """A request with its user's row as a query, without the query tower; `history` holds its rows, where known."""
        moment = to_microseconds(request.moment)
        return self._queries([request], self._columns(_with_session(user, request.session, moment)), history)

    def many(self, requests: Sequence[Request], users: pa.Table) -> list[Asked]:
        """Requests [r] without sessions, with their users' rows in the same order."""
        columns = as_columns(users, [name for name in self._schema if name in users.column_names])
        for name in self._schema.keys() - columns.keys():
            columns[name] = np.repeat(row_as_columns({}, {name: self._schema[name]})[name], len(requests), axis=0)
        queries = self._queries(requests, columns)
        embeddings = self._embed(queries)
        lists = {name: users[name].to_pylist() for name in (SEEN, HIDDEN) if name in users.column_names}
        return [
            Asked(
                _one_of(queries, row),
                embeddings[row],
                self.hidden(request, {name: values[row] for name, values in lists.items()}),
            )
            for row, request in enumerate(requests)
        ]

    def hidden(self, request: Request, user: Mapping[str, Any]) -> Array:
        """Rows of what is excluded, hidden or, where repeats are forbidden, was seen."""
        rows = self._ids.of(self._hidden_ids(request, user))
        return rows[rows >= 0]

    def _hidden_ids(self, request: Request, user: Mapping[str, Any]) -> list[str]:
        ids = [*request.exclude, *(user.get(HIDDEN) or ())]
        if self._bundle.repeat_consumption:
            return ids
        return [*ids, *request.session, *(user.get(SEEN) or ())]

    def _queries(self, requests: Sequence[Request], columns: Columns, history: Array | None = None) -> Queries:
        encoder = self._bundle.encoder
        moments_us = np.array([to_microseconds(request.moment) for request in requests], np.int64)
        segments = np.full(len(requests), -1)
        if self._segments:
            segments = encoder.segments.assign(user_features_at(encoder.plan, columns, moments_us)).astype(np.int64)
        return queries_of(
            np.array([request.user_id for request in requests], object),
            columns,
            moments_us,
            [request.context for request in requests],
            segments=segments,
            ids=self._ids,
            known=self._catalogue.known,
            vocabulary=len(encoder.item_ids) - 1,
            half_life=self._bundle.candidates.half_life,
            history=history,
        )

    def _embed(self, queries: Queries) -> Array:
        newest, history = queries.history[:, -TOWER_HISTORY:], None
        if newest.shape[1] == TOWER_HISTORY and (newest >= 0).all():
            history = self._catalogue.known[newest] + 1  # else by id: the vocabulary may know what the table lacks
        return self._bundle.embed_query(
            queries.user_ids, queries.users, queries.moments_us, queries.contexts, history=history
        )


def _one_of(queries: Queries, row: int) -> Queries:
    """A batch of one."""
    only, met = slice(row, row + 1), queries.met
    bag = slice(met.indptr[row], met.indptr[row + 1])
    parts = (met.data[bag], met.indices[bag], np.array([0, bag.stop - bag.start], met.indptr.dtype))
    return Queries(
        user_ids=queries.user_ids[only],
        moments_us=queries.moments_us[only],
        met=sparse.csr_array(parts, shape=(1, met.shape[1])),
        history=queries.history[only],
        history_us=queries.history_us[only],
        contexts=queries.contexts[only],
        segments=queries.segments[only],
        users=take(queries.users, only),
    )


def _with_session(user: Mapping[str, Any], session: Sequence[str], moment_us: int) -> Mapping[str, Any]:
    """The user's row with the items of this visit at the end of the history, as met just now."""
    if not session:
        return user
    items = [*(user.get("history_items") or ()), *session][-HISTORY_ITEMS:]
    times = [*(user.get("history_times") or ()), *[moment_us] * len(session)][-HISTORY_ITEMS:]
    return {**user, "history_items": items, "history_times": times}
