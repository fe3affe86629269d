"""Popularity feedback: what a recommender comes to that learns from clicks on what it showed itself.

Each round it ranks the items that are there by the clicks that they got, with more weight on a user's own categories,
and shows the best; people click by the world's truth; it counts. With exploration each place is given, with a stated
probability, to an item drawn at random. With Thompson sampling (Chapelle and Li, NIPS 2011) it counts looks, too, and
ranks by rates of clicks a look drawn from what is known of each item: what is little known is tried. All ways meet the
same people in the same rounds. The loop and its cost to new items: Chaney, Stewart, Engelhardt (RecSys 2018).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from feature_repo.core.errors import SettingsRefused
from monitoring.simulator.streams import stream
from monitoring.simulator.truth import click_probabilities, examination
from monitoring.simulator.visits import who
from monitoring.simulator.world import World

Array = np.ndarray[Any, Any]

OWN_WEIGHT = 1.0  # of a user's own categories, beside the log of clicks
MEMORY = 0.95  # of clicks and looks, what a round leaves to the next one
PRIOR_LOOKS = 20.0  # at the base click rate, that an item starts with where rates are learned
DRAWS = 20  # of every item's rate in a round; requests share them
YOUNG_DAYS = 14.0  # until when an item is new


@dataclass(frozen=True)
class Loop:
    """One way through the rounds, [t] each.

    `gini`: inequality of exposure of that round among the items there. `bubble`: mean cosine of the categories of a
    slate and of what its user clicked before, 1 is more of the same; rounds without any click before have NaN.
    `new_share`: share of the places with an item of at most 14 days. `new_there`: the share of such items among those
    there. `click_rate`: the true one.
    """

    exploration: float
    thompson: bool
    day: Array
    gini: Array
    bubble: Array
    new_share: Array
    new_there: Array
    click_rate: Array

    @property
    def name(self) -> str:
        return f"{'Thompson sampling' if self.thompson else 'clicks'}, {self.exploration:.0%} at random"

    def ending(self, name: str) -> float:
        """The mean of a measure over the last quarter of the rounds."""
        values = getattr(self, name)
        return float(np.nanmean(values[-max(len(values) // 4, 1) :]))


def feedback_loop(
    world: World, *, exploration: float, seed: int, thompson: bool = False, rounds: int = 40, requests: int = 600
) -> Loop:
    """Live through `rounds` rounds, spread over the world's days.

    Raises:
        SettingsRefused: exploration is no probability, or there is no round.
    """
    if not 0 <= exploration <= 1 or rounds < 1 or requests < 1:
        raise SettingsRefused(
            "a feedback loop needs an exploration from 0 to 1, a round and a request; "
            f"got {exploration:g}, {rounds} and {requests}"
        )
    learned = _Learned(world, seed, thompson=thompson)
    days = (np.arange(rounds) + 0.5) * world.settings.days / rounds
    seen = [
        _round(world, learned, float(day), exploration, requests, stream(seed, "round", n))
        for n, day in enumerate(days)
    ]
    columns = np.array(seen).T
    return Loop(exploration, thompson, days, *columns)


class _Learned:
    """What clicks have taught: popularity [i], and how often each user clicked each category [u, c]."""

    def __init__(self, world: World, seed: int, *, thompson: bool) -> None:
        self._thompson = thompson
        # A little luck at the start, so that the first slates are no tie.
        self._clicks = stream(seed, "first clicks").exponential(0.1, size=len(world.items))
        self._looks = np.zeros(len(world.items))
        self._base = world.settings.base_click_rate
        self.own = np.zeros((len(world.people), world.settings.categories))

    def best(self, world: World, users: Array, there: Array, k: int, rng: np.random.Generator) -> Array:
        """Slates [r, k] by what was learned."""
        own = self.own[users]
        share = own / np.maximum(own.sum(axis=1, keepdims=True), 1.0)
        liked = self._drawn(there, rng) if self._thompson else np.log1p(self._clicks[there])[None, :]
        score = liked[np.arange(len(users)) % len(liked)] + OWN_WEIGHT * share[:, world.items.category[there]]
        top = np.argpartition(-score, k - 1, axis=1)[:, :k]
        ranked = np.argsort(-np.take_along_axis(score, top, axis=1), axis=1, kind="stable")
        return np.asarray(there[np.take_along_axis(top, ranked, axis=1)])

    def _drawn(self, there: Array, rng: np.random.Generator) -> Array:
        """The log of rates of clicks a look [DRAWS, n], from their beta distributions."""
        clicks, looks = self._clicks[there], self._looks[there]
        won = clicks + self._base * PRIOR_LOOKS
        lost = np.maximum(looks - clicks, 0.0) + (1 - self._base) * PRIOR_LOOKS
        return np.log(np.maximum(rng.beta(won, lost, size=(DRAWS, len(there))), 1e-9))

    def count(self, world: World, users: Array, slates: Array, clicked: Array) -> None:
        rows, places = np.nonzero(clicked)
        items = slates[rows, places]
        self._clicks *= MEMORY
        self._looks *= MEMORY
        self._clicks += np.bincount(items, minlength=len(self._clicks))
        looks = np.broadcast_to(examination(world.settings, slates.shape[1]), slates.shape)
        self._looks += np.bincount(slates.ravel(), weights=looks.ravel(), minlength=len(self._looks))
        np.add.at(self.own, (users[rows], world.items.category[items]), 1.0)


def _round(
    world: World, learned: _Learned, day: float, exploration: float, requests: int, rng: np.random.Generator
) -> tuple[float, ...]:
    from training.evaluation.beyond_accuracy import gini

    there = np.flatnonzero(world.items.birth <= day)
    k = min(world.settings.slate, len(there))
    users = who(world, np.full(requests, day), rng.random(requests))
    luck, drawn, dice = (
        rng.random((requests, k)),
        rng.integers(len(there), size=(requests, k)),
        rng.random((requests, k)),
    )
    slates = np.where(luck < exploration, there[drawn], learned.best(world, users, there, k, rng))
    probabilities = click_probabilities(world, users, slates, day=day)
    bubble = _overlap(world, learned.own[users], slates)
    learned.count(world, users, slates, dice < probabilities)
    young = day - world.items.birth <= YOUNG_DAYS
    place = np.searchsorted(there, slates)
    return (
        gini(place, len(there)),
        bubble,
        float(young[slates].mean()),
        float(young[there].mean()),
        float(probabilities.mean()),
    )


def _overlap(world: World, own: Array, slates: Array) -> float:
    """Mean cosine of the categories of slates [r, k] and of clicks before [r, c], over users who clicked before."""
    place = np.arange(len(slates))[:, None] * own.shape[1] + world.items.category[slates]
    listed = np.bincount(place.ravel(), minlength=own.size).reshape(own.shape)
    known = own.sum(axis=1) > 0
    if not known.any():
        return float("nan")
    norms = np.linalg.norm(own[known], axis=1) * np.linalg.norm(listed[known], axis=1)
    return float(((own[known] * listed[known]).sum(axis=1) / norms).mean())
