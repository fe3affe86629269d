"""Which items people find by themselves, and which a shop shows them: the policy that the log was written under.

A draw takes a category by the user's interests and in it an item by its popularity of that day, among those that were
there when the day began. The shop knows interests and popularity of before any shift; people follow the present ones.
"""

from typing import Any

import numpy as np

from monitoring.simulator.streams import stream
from monitoring.simulator.truth import EMPTY, appeal, tastes
from monitoring.simulator.world import World

Array = np.ndarray[Any, Any]

INTEREST = 1.5  # how much a fitting category is preferred, in logits a standard deviation
EXTRA = 6  # more draws than places, since an item stands in a slate once


class Offers:
    """Draws items for users of one world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._order = np.argsort(world.items.category, kind="stable")
        self._fame = fame(world)[self._order]
        self._centres = category_traits(world)
        usual = world.items.category[: world.settings.items]
        self._sizes = np.bincount(usual, minlength=world.settings.categories) ** 0.5
        self._ends = np.searchsorted(world.items.category[self._order], np.arange(world.settings.categories + 1))

    def draw(self, users: Array, day: int, rng: np.random.Generator, *, width: int) -> Array:
        """Items int [n, width] for users [n] of one day; EMPTY where a category has none yet."""
        weights = self._weights(day)
        interests = self._interests(users, day)
        interests = interests * (np.diff(weights[self._ends]) > 0)
        chance = interests.cumsum(axis=1)
        drawn = rng.random((2, len(users), width))
        at = drawn[0] * chance[:, -1:]
        category = np.zeros(at.shape, int)
        for border in chance[:, :-1].T:
            category += at >= border[:, None]
        low, high = weights[self._ends[category]], weights[self._ends[category + 1]]
        place = np.searchsorted(weights, low + drawn[1] * (high - low), side="right") - 1
        place = np.minimum(place, len(self._order) - 1)
        return np.where(high > low, self._order[place], EMPTY)

    def slates(self, users: Array, day: int, rng: np.random.Generator) -> Array:
        """Slates int [n, k] without repeated items, in the order drawn; EMPTY where there are not enough."""
        k = self._world.settings.slate
        return distinct(self.draw(users, day, rng, width=k + EXTRA), k)

    def _interests(self, users: Array, day: int) -> Array:
        """Chances [n, c] of each category, not normalised."""
        taste = tastes(self._world, users, np.full(len(users), float(day)))
        return np.asarray(np.exp(INTEREST * (taste @ self._centres.T)) * self._sizes)

    def _weights(self, day: int) -> Array:
        """Cumulative popularity [i + 1] on that day in the order of categories, starting with 0."""
        items = self._world.items
        there = (items.birth <= day)[self._order]
        liked = np.exp(appeal(self._world, self._order, np.full(len(items), float(day))))
        return np.concatenate([[0.0], (self._fame * liked * there).cumsum()])


def fame(world: World) -> Array:
    """How easily an item is found, [i]: Zipf's law over the usual items, in an order that has to do with quality."""
    usual = world.settings.items
    liked = world.items.quality.copy()
    liked[:usual] += stream(world.seed, "fame").normal(size=usual)
    standing = np.sort(-liked[:usual])
    rank = np.searchsorted(standing, -liked) + 1.0
    return np.asarray(rank**-world.settings.popularity_exponent)


def category_traits(world: World) -> Array:
    """Mean traits [c, d] of the usual items of each category, as rows of length 1."""
    usual = world.settings.items
    category = world.items.category[:usual]
    total = np.zeros((world.settings.categories, world.settings.dimension))
    np.add.at(total, category, world.items.traits[:usual])
    return np.asarray(total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-9))


def distinct(drawn: Array, places: int) -> Array:
    """The first `places` different items of each row [n, w], then EMPTY."""
    order = np.argsort(drawn, axis=1, kind="stable")
    ranked = np.take_along_axis(drawn, order, axis=1)
    again = np.zeros(drawn.shape, bool)
    np.put_along_axis(again, order[:, 1:], ranked[:, 1:] == ranked[:, :-1], axis=1)
    again |= drawn == EMPTY
    first = np.argsort(again, axis=1, kind="stable")[:, :places]
    return np.where(np.take_along_axis(again, first, axis=1), EMPTY, np.take_along_axis(drawn, first, axis=1))
