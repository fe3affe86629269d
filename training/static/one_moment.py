"""A list of who met what, without time: the training fold as a log, a catalogue and queries of one constant moment."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse

from feature_repo.features.columns import Columns
from training.retrieval.port import Array, Log, Queries

MOMENT_US = 0


@dataclass(frozen=True)
class Pairs:
    """Who met what: `met` [u, i] is 1.0 where a user met an item; `item_columns` [i] are the items' raw attributes."""

    user_ids: Array
    item_ids: Array
    met: sparse.csr_array
    item_columns: Columns

    def only(self, met: sparse.csr_array) -> "Pairs":
        """The same users and items with other pairs."""
        return Pairs(self.user_ids, self.item_ids, met, self.item_columns)

    @cached_property
    def log(self) -> Log:
        users, items = np.repeat(np.arange(self.met.shape[0]), np.diff(self.met.indptr)), self.met.indices
        return Log(
            user_ids=self.user_ids,
            item_ids=self.item_ids,
            users=users,
            items=items.astype(np.int64),
            moments_us=np.full(len(users), MOMENT_US),
            weights=np.ones(len(users), np.float32),
            item_columns=self.item_columns,
        )

    def queries(self, users: Array) -> Queries:
        """What the rows `users` [q] ask after everything that they met; no order is known, so no history."""
        return Queries(
            user_ids=self.user_ids[users],
            moments_us=np.full(len(users), MOMENT_US),
            met=sparse.csr_array(self.met[users]),
            history=np.zeros((len(users), 0), np.int64),
            history_us=np.zeros((len(users), 0), np.int64),
            contexts=[{}] * len(users),
            segments=np.full(len(users), -1),
        )


class OneMoment:
    """The catalogue of all items of the pairs, with what popularity there is without time."""

    def __init__(self, pairs: Pairs) -> None:
        self.item_ids = pairs.item_ids
        self.known = np.arange(len(pairs.item_ids))
        self.counts: Array = np.asarray(pairs.met.sum(axis=0), np.float64)

    def state(self, moment_us: int) -> Columns:  # noqa: ARG002 - there is one moment only
        return {"item_events": self.counts}
