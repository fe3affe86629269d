"""Popularity among the requests like this one: of the same segment, or with the same context.

The share of an item in a group g of events, smoothed with its overall share p_i (Dirichlet prior of weight mu):
p_i|g = (n_gi + mu p_i) / (n_g + mu). Several context columns are combined as if they were independent given the item:
p_i times the product of p_i|g / p_i. A group that was not seen has no factor, so it gets the overall counts.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Self

import numpy as np
from scipy import sparse

from training.retrieval.answers import Answer, Kept
from training.retrieval.port import Array, Catalogue, Log, Queries, spread
from training.retrieval.sparse_top import csr_arrays, csr_restored, nothing_at_zero
from training.settings import PopularWithinSettings

Group = tuple[str, str]  # column and value

BY_SEGMENT, BY_CONTEXT = "popular-segment", "popular-context"


class PopularWithin:
    """Events of the log, counted by group; `name` is BY_SEGMENT or BY_CONTEXT."""

    servable = True

    def __init__(self, name: str, settings: PopularWithinSettings) -> None:
        self.name = name
        self._settings = settings
        self._overall: Array
        self._counts: sparse.csr_array
        self._groups: dict[Group, int]

    def fit(self, log: Log, *, seed: int) -> Self:  # noqa: ARG002 - counting has nothing to draw
        overall = np.bincount(log.items, minlength=len(log.item_ids)) / max(len(log.items), 1)
        columns = {"": log.segments} if self.name == BY_SEGMENT else log.contexts
        found = [self._counted(name, values, log) for name, values in columns.items() if values is not None]
        groups = [group for of_column, _ in found for group in of_column]
        none = sparse.csr_array((0, len(overall)))
        counts = sparse.csr_array(sparse.vstack([none, *(of_column for _, of_column in found)], format="csr"))
        names = np.array(groups, str).reshape(-1, 2)
        return self.restore({"overall": overall, "groups": names, **csr_arrays("counts", counts)})

    def scores(self, queries: Queries, catalogue: Catalogue) -> Array:
        shares = [self._shares(asked) for asked in self._asked(queries)]
        return spread(nothing_at_zero(np.reshape(shares, (len(queries), len(self._overall)))), catalogue)

    def answer(self, queries: Queries, catalogue: Kept) -> Answer:
        (asked,) = self._asked(queries)
        return catalogue.fixed((self.name, *asked), lambda: self.scores(queries, catalogue)[0])

    def arrays(self) -> dict[str, Array]:
        names = np.array(list(self._groups), str).reshape(-1, 2)
        return {"overall": self._overall, "groups": names, **csr_arrays("counts", self._counts)}

    def restore(self, arrays: Mapping[str, Array]) -> Self:
        self._overall = arrays["overall"]
        self._groups = {(str(name), str(value)): row for row, (name, value) in enumerate(arrays["groups"])}
        self._counts = csr_restored("counts", arrays, columns=len(self._overall))
        return self

    def _counted(self, name: str, values: Array, log: Log) -> tuple[list[Group], sparse.csr_array]:
        """The commonest values of a column [n] as groups, and the events of each item in each of them, [groups, i]."""
        texts = [_text(value) for value in values.tolist()]
        known = Counter(text for text in texts if text)
        kept = sorted(known, key=lambda value: (-known[value], value))[: self._settings.values]
        places = {value: place for place, value in enumerate(kept)}
        of_event = np.array([places.get(text, -1) for text in texts], np.int64)
        counted = of_event >= 0
        cells = (of_event[counted], log.items[counted])
        counts = sparse.csr_array((np.ones(counted.sum()), cells), shape=(len(kept), len(log.item_ids)))
        counts.sum_duplicates()
        return [(name, value) for value in kept], counts

    def _asked(self, queries: Queries) -> Iterator[list[Group]]:
        """The groups of each query that were seen."""
        groups: Iterator[list[Group]]
        if self.name == BY_SEGMENT:
            groups = ([("", str(int(segment)))] for segment in queries.segments)
        else:
            groups = ([(name, str(value)) for name, value in context.items()] for context in queries.contexts)
        return ([group for group in asked if group in self._groups] for asked in groups)

    def _shares(self, asked: list[Group]) -> Array:
        share = self._overall.copy()
        for group in asked:
            self._scale(share, self._groups[group])
        return share

    def _scale(self, share: Array, group: int) -> None:
        """Multiply overall shares [i] by p_i|g / p_i, in place."""
        found = slice(self._counts.indptr[group], self._counts.indptr[group + 1])
        items, counts, smoothing = self._counts.indices[found], self._counts.data[found], self._settings.smoothing
        share[items] *= 1 + counts / (smoothing * self._overall[items])
        share *= smoothing / (counts.sum() + smoothing)


def _text(value: object) -> str:
    """The value as text, empty for a missing one or an unknown segment."""
    return "" if value is None or value != value or value == -1 else str(value)
