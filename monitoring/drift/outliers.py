"""Rows unlike any that the reference holds, as one column: a machine's counts, a wrong unit, a sentinel left in.

A few rows far out hardly move a mean that heavy tails make uncertain. Their rank does not care how heavy the tails are:
a value's tail probability among other people's rows of the reference, the smallest over all features of a row (the
tails of ECOD, Li et al., TKDE 2022, without their sum, which thirty ordinary features would drown one odd one in).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from monitoring.drift.columns import Rows

Array = np.ndarray[Any, Any]

OUTLIERS = "share:outliers"
MOST_FURTHEST = 0.02  # of the rows


@dataclass(frozen=True)
class Tails:
    """A feature of the reference: its values [n] and (user, rank) keys [n] in order, and the most rows of one user."""

    values: Array
    keys: Array
    most: int

    @classmethod
    def of(cls, values: Array, user: Array) -> "Tails":
        held = np.isfinite(values)
        ordered = np.sort(values[held])
        rank = np.searchsorted(ordered, values[held], side="left")
        keys = np.sort(user[held].astype(np.int64) * (len(ordered) + 1) + rank)
        return cls(ordered, keys, int(np.bincount(user[held]).max(initial=0)))

    def candidates(self, x: Array, probability: float) -> Array:
        """Where in `x` [m] a tail probability below that one is possible: few places, and only they are looked up."""
        place = int(probability * (len(self.values) + 1)) + self.most
        if place >= len(self.values):
            return np.flatnonzero(np.isfinite(x))
        # No comparison holds for a value that is missing.
        return np.flatnonzero((x <= self.values[place]) | (x >= self.values[-1 - place]))

    def probability(self, x: Array, user: Array) -> Array:
        """How likely other people's rows are to lie as far out as finite `x` [m], on its side; `user` int [m] or -1.

        One is added to the count and the number (Davison and Hinkley, 1997): where few others are, nothing is rare.
        """
        n = len(self.values)
        below, up_to = (np.searchsorted(self.values, x, side=side) for side in ("left", "right"))
        base = user.astype(np.int64) * (n + 1)
        # The keys of one user lie together, in the order of their values.
        first, reached, passed, end = (np.searchsorted(self.keys, base + at) for at in (0, below, up_to, n + 1))
        known = user >= 0
        others = n - np.where(known, end - first, 0)
        above = n - below - np.where(known, end - reached, 0)
        under = up_to - np.where(known, passed - first, 0)
        return np.asarray((np.minimum(above, under) + 1) / (others + 1))


@dataclass(frozen=True)
class Usual:
    """What is usual in a reference: the tails of its features, its people by id, and where its odd rows begin."""

    tails: Mapping[str, Tails]
    people: Mapping[str, int]
    cut: float

    def column(self, rows: Rows, values: Mapping[str, Array]) -> Array:
        """1 for each row of a window with a value further out than `cut`, else 0 [n]."""
        known = np.array([self.people.get(person, -1) for person in rows.people], np.int64)
        return (smallest_tail(self.tails, values, known[rows.user], self.cut) < self.cut).astype(float)


def usual(reference: Rows, values: Mapping[str, Array], names: tuple[str, ...], *, share: float) -> Usual | None:
    """Of the features `names`; `share` of the reference's own rows at most are outliers.

    None where more than MOST_FURTHEST of the rows lie further out than everybody else's: among few people each is the
    furthest out in something, and so is the next one to come.
    """
    tails = {name: Tails.of(values[name], reference.user) for name in names}
    if not tails:
        return None
    smallest = smallest_tail(tails, values, reference.user, share)
    cut = float(np.quantile(smallest, share, method="higher"))
    people = {person: code for code, person in enumerate(reference.people)}
    furthest = smallest < 2 / (len(smallest) + 1)
    return Usual(tails, people, cut) if furthest.mean() <= MOST_FURTHEST and (smallest < cut).any() else None


def smallest_tail(tails: Mapping[str, Tails], values: Mapping[str, Array], user: Array, below: float) -> Array:
    """The smallest tail probability over the features of each row [n] where it is `below`, else something above."""
    smallest = np.ones(len(user))
    for name, tail in tails.items():
        x = values.get(name)
        if x is None:
            continue
        far = tail.candidates(x, below)
        smallest[far] = np.minimum(smallest[far], tail.probability(x[far], user[far]))
    return smallest
