"""What a retriever says to one query: its best items, and its scores of the items that it is asked about.

An answer equals the retriever's scores of all items, and costs no more than what there is to say: sums over the
weights of the items met, a walk down an order that is kept. Equal scores go by the row of the catalogue.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from feature_repo.features.columns import Columns
from training.retrieval.port import NOTHING, Catalogue, Queries, Retriever
from training.retrieval.sparse_top import Reach

Array = np.ndarray[Any, Any]

GROUPS = 1_024  # that scores are looked at in, to find the best of them
UNCUT = 512  # scores: so few are sorted as quickly as they are cut
STEP = 2  # times what is wanted: how far a list is read at first, before what is not allowed is left out


class Answer(Protocol):
    """One retriever's answer to one query over a catalogue of m items."""

    def best(self, count: int, allowed: Array) -> Array:
        """Rows [at most count] of its best items of those that are `allowed` [m], best first; none without a score."""

    def at(self, rows: Array) -> Array:
        """float32 [n] scores of the rows [n], NOTHING where there is nothing to say."""


class Kept(Catalogue, Protocol):
    """A catalogue that keeps what does not depend on the query."""

    @property
    def rows_of(self) -> Array:
        """Row of the catalogue of each item of the vocabulary [i], -1 for one that it lacks."""

    def ranking(self, name: str, formula: Callable[[Columns], Array], moment_us: int) -> "Ranking":
        """Items by `formula` of their state on the day of `moment_us`; a name stands for one formula."""

    def fixed(self, key: Hashable, scores: Callable[[], Array]) -> "Ranking":
        """Items by scores [m] that do not change while the catalogue has the same items; found again by `key`."""


def answer_of(retriever: Retriever, queries: Queries, catalogue: Kept) -> Answer:
    """What `scores` says of a single query: by the retriever's own `answer(queries, catalogue)`, where it has one."""
    answer: Callable[[Queries, Kept], Answer] | None = getattr(retriever, "answer", None)
    if answer is not None:
        return answer(queries, catalogue)
    return Whole(retriever.scores(queries, catalogue)[0])


@dataclass(frozen=True)
class Whole:
    """Scores of all items, float32 [m]."""

    scores: Array

    def best(self, count: int, allowed: Array) -> Array:
        rows = np.flatnonzero(allowed & (self.scores > NOTHING))
        return highest(rows, self.scores[rows], count)

    def at(self, rows: Array) -> Array:
        return self.scores[rows]


@dataclass(frozen=True)
class Few:
    """Scores [n] of the `rows` [n], ascending; nothing of any other."""

    rows: Array
    scores: Array

    def best(self, count: int, allowed: Array) -> Array:
        kept = allowed[self.rows]
        return highest(self.rows[kept], self.scores[kept], count)

    def at(self, rows: Array) -> Array:
        found = np.full(len(rows), NOTHING, np.float32)
        if len(self.rows):
            places = np.minimum(np.searchsorted(self.rows, rows), len(self.rows) - 1)
            there = self.rows[places] == rows
            found[there] = self.scores[places[there]]
        return found


@dataclass(frozen=True)
class Sums:
    """Sums over the vocabulary, exactly 0 where there is no summand; `catalogue` has rows for them.

    `sums` is float32 [i + 1]: the last is 0, and what is said of items that came later. Where there is a `reach`, they
    are [n + 1] of its items.
    """

    sums: Array
    catalogue: Kept
    reach: Reach | None = None

    def best(self, count: int, allowed: Array) -> Array:
        border = _border(self.sums, STEP * count)
        if border > 0:
            found = self._best(self.sums >= border, count, allowed)
            if len(found) == count:
                return found
        return self._best(self.sums != 0, count, allowed)

    def at(self, rows: Array) -> Array:
        places = self.catalogue.known.take(rows)
        if self.reach is not None:
            places = self.reach.places.take(places)
        found: Array = self.sums.take(places)
        found[found == 0] = NOTHING
        return found

    def _best(self, wanted: Array, count: int, allowed: Array) -> Array:
        (places,) = wanted.nonzero()
        items = places if self.reach is None else self.reach.items.take(places)
        rows = self.catalogue.rows_of.take(items)
        may = allowed.take(rows) & (rows >= 0)
        return highest(rows[may], self.sums.take(places[may]), count)


@dataclass(frozen=True)
class Ranking:
    """Scores of all items [m], and the `order` [n] of those that have one, best first."""

    scores: Array
    order: Array

    def best(self, count: int, allowed: Array) -> Array:
        wanted = STEP * count
        while True:
            rows = self.order[:wanted]
            rows = rows[allowed[rows]][:count]
            if len(rows) == count or wanted >= len(self.order):
                return rows
            wanted *= 4

    def at(self, rows: Array) -> Array:
        return self.scores[rows]


def ranking_of(scores: Array) -> Ranking:
    """All items [m] in order."""
    rows = np.flatnonzero(scores > NOTHING)
    return Ranking(scores, rows[np.argsort(-scores[rows], kind="stable")])


def moved(ranking: Ranking, rows: Array, scores: Array) -> Ranking:
    """The ranking after the distinct `rows` [n] got other scores [n], without sorting the others again."""
    stays = np.ones(len(ranking.scores), bool)
    stays[rows] = False
    order = ranking.order[stays[ranking.order]]
    ranking.scores[rows] = scores
    scored = rows[scores > NOTHING]
    values = -ranking.scores[order]
    for row in scored[np.lexsort((scored, -ranking.scores[scored]))]:
        value = -ranking.scores[row]
        start, end = np.searchsorted(values, value, "left"), np.searchsorted(values, value, "right")
        place = start + np.searchsorted(order[start:end], row)
        order, values = np.insert(order, place, row), np.insert(values, place, value)
    return Ranking(ranking.scores, order)


def highest(rows: Array, scores: Array, count: int) -> Array:
    """The `count` of the distinct `rows` [n] with the highest scores [n], best first; equal ones by row."""
    if len(rows) > max(UNCUT, count):
        kept = scores >= np.partition(scores, len(scores) - count)[len(scores) - count]
        rows, scores = rows[kept], scores[kept]
    found: Array = rows[np.lexsort((rows, -scores))[:count]]
    return found


def _border(scores: Array, count: int) -> float:
    """A score that at least `count` of the `scores` [n] reach, and few more; NOTHING where GROUPS are too few to tell.

    Of the best of each group at least `count` reach it. To look at all scores for it once, group beside group, takes a
    tenth of the time of a partition.
    """
    of_group = len(scores) // GROUPS
    if count > GROUPS or of_group < 2:
        return NOTHING
    groups = scores[: of_group * GROUPS].reshape(of_group, GROUPS).max(axis=0)
    groups.partition(GROUPS - count)
    return float(groups[GROUPS - count])
