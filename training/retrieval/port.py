"""The port of every candidate retriever, and the values that travel through it.

A retriever learns from a `Log` and answers `Queries` over a `Catalogue`. Rows of users and items mean: in a `Log`, and
in what was fitted on it, rows of its `user_ids` and `item_ids` (the vocabulary); in the answer, rows of the catalogue.
Both are the same where the catalogue has not changed since the log ended.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol, Self

import numpy as np
from scipy import sparse

from feature_repo.features.columns import Columns

Array = np.ndarray[Any, Any]

NOTHING = -np.inf  # the score of an item that a retriever has nothing to say about


@dataclass(frozen=True)
class Log:
    """n liked events of a training window in order of time.

    `users`, `items` [n] are rows of `user_ids` [u] and `item_ids` [i]; `weights` [n] those of the event types, above 0;
    `contexts` the declared context columns [n]; `segments` [n] the user's segment at that time (-1: unknown);
    `item_columns` the declared attributes [i], raw.
    """

    user_ids: Array
    item_ids: Array
    users: Array
    items: Array
    moments_us: Array
    weights: Array
    contexts: Mapping[str, Array] = field(default_factory=dict)
    segments: Array | None = None
    item_columns: Columns = field(default_factory=dict)

    @cached_property
    def met(self) -> sparse.csr_array:
        """1.0 where a user met an item, float32 [u, i]."""
        ones = np.ones(len(self.users), np.float32)
        found = sparse.csr_array((ones, (self.users, self.items)), shape=(len(self.user_ids), len(self.item_ids)))
        found.sum_duplicates()
        found.data[:] = 1.0
        return found


@dataclass(frozen=True)
class Queries:
    """q requests.

    `met` [q, i] is how much it counts that the user met an item of the vocabulary before: 1.0, or less for what was
    met long ago, where there is time; `history` [q, h] rows of the catalogue
    of the last items met, newest last, -1 before the first, `history_us` [q, h] when; `segments` [q], -1 where unknown;
    `users` the raw user features [q], which a retriever on features reads.
    """

    user_ids: Array
    moments_us: Array
    met: sparse.csr_array
    history: Array
    history_us: Array
    contexts: Sequence[Mapping[str, str]]
    segments: Array
    users: Columns = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.user_ids)


class Catalogue(Protocol):
    """m items as they are at the moment of the queries."""

    @property
    def item_ids(self) -> Array:
        """[m]"""

    @property
    def known(self) -> Array:
        """Row in the vocabulary of each item [m], -1 for one that came later."""

    def state(self, moment_us: int) -> Columns:
        """`feature_repo.features.request.state_at("item", ...)` of all items [m] on the day of `moment_us`."""


class Retriever(Protocol):
    """Scores every item of a catalogue for every query, without regard to what may be recommended."""

    @property
    def name(self) -> str:
        """The word for it in settings, features, slates and tables."""

    def fit(self, log: Log, *, seed: int) -> Self:
        """Learn from `log`; returns itself. The same log and seed give the same scores."""

    def scores(self, queries: Queries, catalogue: Catalogue) -> Array:
        """float32 [q, m], higher is better, NOTHING where there is nothing to say; never NaN."""

    def arrays(self) -> dict[str, Array]:
        """What was fitted, as named arrays without objects: all that a bundle keeps of it."""

    def restore(self, arrays: Mapping[str, Array]) -> Self:
        """The inverse of `arrays`: the same scores as after `fit`."""


def spread(scores: Array, catalogue: Catalogue) -> Array:
    """Scores of the vocabulary [q, i] as scores of the catalogue [q, m]; NOTHING for an item that came later."""
    padded = np.concatenate([scores, np.full((len(scores), 1), NOTHING, scores.dtype)], axis=1)
    return padded[:, catalogue.known].astype(np.float32, copy=False)
