"""The event log of a world: visits, slates, clicks, views, purchases, hides, and what bots and broken pipes add."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from feature_repo.core.errors import SettingsRefused
from monitoring.simulator.answered import (
    NO_REQUEST,
    Slates,
    Views,
    organic_items,
    quiet,
    slates_shown,
    unflooded,
    views,
)
from monitoring.simulator.shift import Kind
from monitoring.simulator.streams import stream
from monitoring.simulator.tables import arrivals, event_table
from monitoring.simulator.visits import SECONDS_A_DAY, steps, visits
from monitoring.simulator.world import World

Array = np.ndarray[Any, Any]

TYPES = ("view", "purchase", "hide")
WEIGHTS = {"view": 1.0, "purchase": 3.0, "hide": -1.0}
BOT_EVENTS = 400  # of each visit of a bot, one every BOT_SECONDS
BOT_SECONDS = 3.0
_PILOT = 2_000  # visits that say how many events a visit brings
_MARGIN = 1.04  # more visits than that says, for its own error


@dataclass(frozen=True)
class Actions:
    """n events: user int (bots beyond the people), item int, day, kind (a place in TYPES), value or NaN, request,
    position; all [n].
    """

    user: Array
    item: Array
    day: Array
    kind: Array
    value: Array
    request: Array
    position: Array

    def take(self, rows: Array) -> "Actions":
        return Actions(**{name: values[rows] for name, values in vars(self).items()})


@dataclass(frozen=True)
class Log:
    """`events`: valid unified events in time order. `arrived` [n]: when each was known. `slates`: what was shown."""

    events: pa.Table
    arrived: pa.Array
    slates: Slates


def simulate(world: World, *, seed: int, on_stage: Callable[[str], None] = lambda _: None) -> Log:
    """Live through the world's days. The log ends with its day, or with the last of `settings.events` people's events.

    Visits are as many as a world without shifts needs for its events; a shift may bring more events, or fewer.

    Raises:
        SettingsRefused: nothing happens in that world, because nobody or nothing is there in time.
    """
    on_stage("visits")
    came = visits(world, visits_needed(world, seed), seed=seed)
    taken = steps(world, came, seed=seed)
    on_stage("slates")
    shown = slates_shown(world, came, taken, seed=seed)
    on_stage("views")
    organic = organic_items(world, came, taken, seed=seed)
    done = _actions(world, views(taken, shown, organic, seed=seed), seed)
    done = _with_bots(world, done.take(np.arange(min(len(done.day), world.settings.events))), seed)
    if not len(done.day):
        raise SettingsRefused(
            f"a log needs an event: nobody met an item in {world.settings.days:g} days of {len(world.people)} users "
            f"and {world.settings.items} items; give it more days, or items that are there from the start"
        )
    on_stage("tables")
    events = event_table(world, done, seed=seed)
    return Log(events, arrivals(world, done, seed=seed), shown)


def visits_needed(world: World, seed: int) -> int:
    """Visits that bring `settings.events` events where nothing shifts, from the expectation of a few of them."""
    twin, settings = quiet(unflooded(world)), world.settings
    came = visits(twin, _PILOT, seed=seed)
    taken = steps(twin, came, seed=seed)
    clicks = slates_shown(twin, came, taken, seed=seed).probabilities.sum()
    viewed = clicks + (~taken.slated).sum()
    events = viewed * (1 + settings.purchase_rate) + clicks * settings.hide_rate
    return max(round(float(_MARGIN * settings.events / max(events, 1.0) * _PILOT)), 1)


def _actions(world: World, seen: Views, seed: int) -> Actions:
    """Views, and the purchases and hides that follow some of them, in time order."""
    settings, count = world.settings, len(seen.user)
    bought = stream(seed, "purchases").random(count) < settings.purchase_rate
    pause = 120 * np.exp(0.8 * stream(seed, "purchase pauses").normal(size=count)) / SECONDS_A_DAY
    hidden = (stream(seed, "hides").random(count) < settings.hide_rate) & (seen.request != NO_REQUEST) & ~bought
    everyone = np.ones(count, bool)
    nothing = np.full(count, np.nan)
    price = world.items.price[seen.item]
    parts = [
        _of(seen, everyone, 0, nothing, 0.0),
        _of(seen, bought, 1, price, pause),
        _of(seen, hidden, 2, nothing, 10 / SECONDS_A_DAY),
    ]
    done = _joined(parts)
    inside = np.flatnonzero(done.day < settings.days)
    return done.take(inside[np.argsort(done.day[inside], kind="stable")])


def _of(seen: Views, chosen: Array, kind: int, value: Array, later: Array | float) -> Actions:
    day = (seen.day + later)[chosen]
    kinds = np.full(len(day), kind)
    return Actions(
        seen.user[chosen], seen.item[chosen], day, kinds, value[chosen], seen.request[chosen], seen.position[chosen]
    )


def _joined(parts: list[Actions]) -> Actions:
    names = Actions.__dataclass_fields__
    return Actions(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})


def _with_bots(world: World, done: Actions, seed: int) -> Actions:
    """Add the visits of bots, which view items at random at an even pace."""
    parts = [done]
    for number, shift in enumerate(world.shifts(Kind.BOTS)):
        rng = stream(seed, "bots", number)
        end = float(done.day[-1]) if len(done.day) else shift.from_day
        count = round(shift.size * int((done.day >= shift.from_day).sum()))
        there = np.flatnonzero(world.items.birth <= shift.from_day)
        if not count or not len(there):
            continue
        visit = np.arange(count) // BOT_EVENTS
        longest = BOT_EVENTS * BOT_SECONDS / SECONDS_A_DAY
        start = rng.uniform(shift.from_day, max(end - longest, shift.from_day), size=visit[-1] + 1)
        # Every bot comes five times, so that none meets so much of the catalogue that the door takes it for one.
        bot = len(world.people) + 1_000 * number + visit // 5
        none = np.full(count, NO_REQUEST)
        day = start[visit] + (np.arange(count) % BOT_EVENTS) * BOT_SECONDS / SECONDS_A_DAY
        zeros, nothing = np.zeros(count, int), np.full(count, np.nan)
        parts.append(Actions(bot, rng.choice(there, size=count), day, zeros, nothing, none, none))
    joined = _joined(parts)
    return joined.take(np.argsort(joined.day, kind="stable")) if len(parts) > 1 else done
