"""Optimised interleaving: of all slates that either ranker could have made item by item, the most telling mixture.

A slate is allowed if each next item is the best one left of one of the rankers. Its places have credits, by how much
higher the second ranker puts the item than the first. The mixture over slates is a linear programme: somebody who looks
at the first n places and clicks at random gives no credit on average, for every n; and who wins is as open as can be.

Radlinski and Craswell (2013), Optimized interleaving for online retrieval evaluation, WSDM.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np

from feature_repo.core.errors import NotMeasurable
from feature_repo.core.team_draft import Interleaved, Items, check_rankings

Array = np.ndarray[Any, Any]
Credit = Literal["linear", "inverse", "binary"]

LONGEST = 12  # places; the slates to choose from are up to 2 to this power


@dataclass(frozen=True)
class Mixture:
    """Slates [s, k] as places in `names`, with their probabilities [s] and the credit of each place [s, k]."""

    names: tuple[Hashable, ...]
    slates: Array
    probabilities: Array
    credit: Array

    def draw(self, rng: np.random.Generator) -> Interleaved:
        at = int(rng.choice(len(self.probabilities), p=self.probabilities))
        items = tuple(self.names[place] for place in self.slates[at])
        return Interleaved(items, tuple(float(value) for value in self.credit[at]))


def optimised(one: Items, two: Items, *, k: int, credit: Credit = "inverse") -> Mixture:
    """The mixture for two rankings of at least `k` items each; what is below place `k` does not count.

    Raises:
        NotMeasurable: a ranking is shorter than `k`, names an item twice, or no fair mixture exists.
    """
    if not (1 <= k <= LONGEST and len(one) >= k and len(two) >= k):
        raise NotMeasurable(
            f"optimised interleaving mixes 1 to {LONGEST} places of rankings at least as long; "
            f"got {k} places of {len(one)} and {len(two)} items"
        )
    first, second = tuple(one[:k]), tuple(two[:k])
    check_rankings(first, second)
    place = {item: at for at, item in enumerate(first)}
    for item in second:
        place.setdefault(item, len(place))
    slates, probabilities, credits = _solved(tuple(place[item] for item in second), credit)
    return Mixture(tuple(place), slates, probabilities, credits)


@lru_cache(maxsize=8_192)
def _solved(second: tuple[int, ...], credit: Credit) -> tuple[Array, Array, Array]:
    """The first ranking is 0, 1, ..., k - 1. Many pairs of rankings look alike once their items have no names."""
    from scipy.optimize import linprog

    k = len(second)
    slates = np.array(sorted(_allowed(second)))
    credits = _credit_of_items(second, credit)[slates]
    fair = np.cumsum(credits, axis=1).T
    limits = np.vstack([fair, np.ones(len(slates))])
    found = linprog(-_openness(credits), A_eq=limits, b_eq=np.append(np.zeros(k), 1.0), bounds=(0, 1), method="highs")
    if found.status != 0:
        raise NotMeasurable(f"no mixture of {len(slates)} slates is fair at every place with {credit} credit")
    probabilities = np.maximum(found.x, 0.0)
    used = probabilities > 0
    return slates[used], probabilities[used] / probabilities.sum(), credits[used]


def _allowed(second: Sequence[int]) -> set[tuple[int, ...]]:
    k = len(second)
    found: set[tuple[int, ...]] = {()}
    for _ in range(k):
        found = {
            (*slate, next(item for item in ranking if item not in slate))
            for slate in found
            for ranking in (range(k), second)
        }
    return found


def _credit_of_items(second: Sequence[int], credit: Credit) -> Array:
    """Of each item [items]; an item that a ranking lacks stands right below it."""
    k = len(second)
    items = max(k, max(second) + 1)
    rank_one, rank_two = np.full(items, k + 1.0), np.full(items, k + 1.0)
    rank_one[:k] = np.arange(1, k + 1)
    rank_two[list(second)] = np.arange(1, k + 1)
    if credit == "linear":
        return np.asarray(rank_one - rank_two)
    if credit == "inverse":
        return np.asarray(1 / rank_two - 1 / rank_one)
    return np.asarray(np.sign(rank_one - rank_two))


def _openness(credits: Array) -> Array:
    """Entropy of who wins by one click, whose chance falls as 1 / place: [s]."""
    chance = 1 / np.arange(1, credits.shape[1] + 1)
    chance /= chance.sum()
    outcomes = np.stack([((np.sign(credits) == sign) * chance).sum(axis=1) for sign in (-1, 0, 1)])
    return np.asarray(-(outcomes * np.log(np.maximum(outcomes, 1e-300))).sum(axis=0))
