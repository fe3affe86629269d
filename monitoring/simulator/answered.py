"""What people do at their steps: slates that they look at, clicks, and views that they come to by themselves."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from monitoring.simulator.offers import Offers
from monitoring.simulator.settings import SimulatorSettings
from monitoring.simulator.streams import stream
from monitoring.simulator.truth import click_probabilities, draw_clicks
from monitoring.simulator.visits import SECONDS_A_DAY, Steps, Visits
from monitoring.simulator.world import Catalogue, World

Array = np.ndarray[Any, Any]

NO_REQUEST = -1
_SECONDS_A_PLACE = 3.0  # that people take to read a place before they click


@dataclass(frozen=True)
class Slates:
    """r requests, visit by visit: user int [r], day [r], items int [r, k], and the true click probabilities [r, k]."""

    user: Array
    day: Array
    items: Array
    probabilities: Array


@dataclass(frozen=True)
class Views:
    """n views in time order: user, item, day, and the request and position (or NO_REQUEST) that each answers."""

    user: Array
    item: Array
    day: Array
    request: Array
    position: Array


def quiet(world: World) -> World:
    """The same people and items, and no shift in what people do."""
    settings: SimulatorSettings = world.settings.model_copy(update={"shifts": ()})
    return replace(world, settings=settings)


def unflooded(world: World) -> World:
    """The same world without the items that a flood brings."""
    usual = slice(world.settings.items)
    items = Catalogue(**{name: values[usual] for name, values in vars(world.items).items()})
    return replace(world, items=items, appeal_move=world.appeal_move[usual])


def slates_shown(world: World, came: Visits, steps: Steps, *, seed: int) -> Slates:
    """The slates of all steps that show one, by a shop that knows of no shift."""
    offers, at = Offers(quiet(world)), np.flatnonzero(steps.slated)
    items = np.empty((len(at), world.settings.slate), np.int64)
    for day, rows in _by_day(came, steps, at):
        items[rows] = offers.slates(steps.user[at[rows]], day, stream(seed, "offers", day))
    user, moment = steps.user[at], steps.day[at]
    return Slates(user, moment, items, click_probabilities(world, user, items, day=moment))


def organic_items(world: World, came: Visits, steps: Steps, *, seed: int) -> Array:
    """The item int [m] of each step without a slate; some return to the item of the step before."""
    offers, at = Offers(world), np.flatnonzero(~steps.slated)
    found = np.empty(len(at), np.int64)
    for day, rows in _by_day(came, steps, at):
        found[rows] = offers.draw(steps.user[at[rows]], day, stream(seed, "found", day), width=1)[:, 0]
    again = stream(seed, "again").random(len(at)) < world.settings.repeat
    again[:1] = False
    again[1:] &= steps.visit[at[1:]] == steps.visit[at[:-1]]
    # Back to the nearest step that is no return.
    kept: Array = np.maximum.accumulate(np.where(again, 0, np.arange(len(at))))
    return found[kept]


def views(steps: Steps, shown: Slates, organic: Array, *, seed: int) -> Views:
    """Clicks on slates and views without, in time order."""
    rows, places = np.nonzero(draw_clicks(shown.probabilities, stream(seed, "clicks")))
    read = _SECONDS_A_PLACE * (places + 1) / SECONDS_A_DAY
    alone = ~steps.slated
    none = np.full(len(organic), NO_REQUEST)
    user = np.concatenate([shown.user[rows], steps.user[alone]])
    item = np.concatenate([shown.items[rows, places], organic])
    day = np.concatenate([shown.day[rows] + read, steps.day[alone]])
    request, position = np.concatenate([rows, none]), np.concatenate([places, none])
    there = np.flatnonzero(item >= 0)
    order = there[np.argsort(day[there], kind="stable")]
    return Views(user[order], item[order], day[order], request[order], position[order])


def _by_day(came: Visits, steps: Steps, at: Array) -> Iterator[tuple[int, slice]]:
    """The day on which each visit began, and where the steps `at` of its visits lie."""
    day = np.floor(came.start[steps.visit[at]]).astype(int)
    if len(day):
        for number in range(int(day[0]), int(day[-1]) + 1):
            low, high = np.searchsorted(day, [number, number + 1])
            if high > low:
                yield number, slice(int(low), int(high))
