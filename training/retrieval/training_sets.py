"""What two towers learn from: requests with their positives, or bags of items that users met. Plain arrays."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from scipy import sparse

from feature_repo.features.columns import Columns, take
from training.retrieval.held_out import Held

Array = np.ndarray[Any, Any]


class TrainingSet(Protocol):
    """Examples of a training run; `batches.py` turns each kind of them into batches."""

    @property
    def items(self) -> Columns:
        """Inputs of the item tower [m]: the catalogue that positives point to; table index is row + 1."""

    def __len__(self) -> int:
        """Requests to learn from in an epoch."""

    @property
    def held(self) -> Held | None:
        """What is held out to tell the best epoch; None where there is too little."""


@dataclass(frozen=True)
class Requests:
    """r requests in order of time, of which the last `held_share` are held out.

    `queries` are inputs of the query tower [r]; the positives of request j are `positives[starts[j]:starts[j + 1]]`,
    rows of `items` [m].
    """

    queries: Columns
    starts: Array
    positives: Array
    items: Columns
    held_share: float = 0.0

    @cached_property
    def _learned(self) -> int:
        whole = len(self.starts) - 1
        return max(whole - int(whole * self.held_share), min(whole, 1))

    def __len__(self) -> int:
        return self._learned

    @cached_property
    def held(self) -> Held | None:
        first, last = self._learned, len(self.starts) - 1
        if first == last:
            return None
        later = np.arange(first, last)
        rows, columns = self.positives_of(later)
        queries, shape = take(self.queries, later), (len(later), len(self.items["item_id"]))
        return Held(queries, pairs_matrix(rows, columns, shape), met_of(queries["history"], shape))

    def positives_of(self, chosen: Array) -> tuple[Array, Array]:
        """Place in `chosen` and row of the catalogue of all positives of the chosen requests [n]."""
        counts = self.starts[chosen + 1] - self.starts[chosen]
        rows = np.repeat(np.arange(len(chosen)), counts)
        within = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
        return rows, self.positives[self.starts[chosen][rows] + within]


@dataclass(frozen=True)
class Bags:
    """u users, each with a bag `met` [u, m] of items without an order; every epoch predicts one part from the other.

    `user_index` [u] are indexes of the users' table, `items` the item tower's inputs [m].
    """

    met: sparse.csr_array
    user_index: Array
    items: Columns
    held: Held | None = None

    def __len__(self) -> int:
        return int(self.met.shape[0])


def pairs_matrix(rows: Array, columns: Array, shape: tuple[int, int]) -> sparse.csr_array:
    """1.0 at every pair (rows, columns) [n], float32."""
    found = sparse.csr_array((np.ones(len(rows), np.float32), (rows, columns)), shape=shape)
    found.sum_duplicates()
    found.data[:] = 1.0
    return found


def met_of(history: Array, shape: tuple[int, int]) -> sparse.csr_array:
    """Histories [r, h] of table indexes as a matrix `shape` = (r, items)."""
    rows, places = np.nonzero(history)
    return pairs_matrix(rows, history[rows, places] - 1, shape)


def bag_inputs(user_index: Array, met: sparse.csr_array) -> Columns:
    """Inputs of the query tower for q users and their bags [q, m]."""
    rows = np.repeat(np.arange(met.shape[0], dtype=np.int64), np.diff(met.indptr))
    return {"user_id": user_index, "bag_row": rows, "bag_item": met.indices.astype(np.int64) + 1}


def split_bags(met: sparse.csr_array, share: float, users: int, *, seed: int) -> tuple[sparse.csr_array, Array, Any]:
    """`met` [u, m] less `share` of the items of up to `users` users who have enough; who they are; what was taken."""
    rng = np.random.default_rng(seed)
    counts = np.diff(met.indptr)
    able = np.flatnonzero((counts * share).astype(int) >= 1)
    chosen = np.sort(rng.permutation(able)[:users])
    rows = np.repeat(np.arange(met.shape[0]), counts)
    order = np.lexsort((rng.random(len(rows)), rows))
    place = np.empty(len(rows), np.int64)
    place[order] = np.arange(len(rows)) - np.repeat(met.indptr[:-1], counts)
    limit = np.zeros(met.shape[0], np.int64)
    limit[chosen] = (counts[chosen] * share).astype(int)
    taken = place < limit[rows]
    kept = pairs_matrix(rows[~taken], met.indices[~taken], met.shape)
    return kept, chosen, pairs_matrix(rows[taken], met.indices[taken], met.shape)[chosen]
