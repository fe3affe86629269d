"""When people come, who comes, and how many steps they take.

Visits are an inhomogeneous Poisson process given their number: the rate of an hour is that of its day (weekday, noise)
times that of the hour times the activity of everybody who is there by then.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from monitoring.simulator.shift import Kind
from monitoring.simulator.streams import stream
from monitoring.simulator.world import World

Array = np.ndarray[Any, Any]

# Share of visits in each hour, UTC: a quiet night, a rise at noon, most in the evening.
HOURS = np.array(
    [
        1.6,
        1.0,
        0.7,
        0.5,
        0.5,
        0.7,
        1.3,
        2.4,
        3.6,
        4.3,
        4.7,
        5.0,
        5.4,
        5.2,
        4.9,
        4.8,
        5.0,
        5.6,
        6.6,
        7.6,
        8.2,
        8.0,
        6.6,
        3.8,
    ]
)
HOURS = HOURS / HOURS.sum()
WEEKDAYS = np.array([1.0, 0.96, 0.97, 1.0, 1.05, 1.12, 1.15])  # Monday first
SECONDS_A_DAY = 86_400.0
_LONGEST_GAP = 1_500.0  # seconds: 30 minutes without an event end a visit


@dataclass(frozen=True)
class Visits:
    """s visits in time order: user int [s], start [s] in days, steps int [s]."""

    user: Array
    start: Array
    steps: Array


@dataclass(frozen=True)
class Steps:
    """n steps of all visits: the visit int [n] of each, its user int [n], its day [n], and whether it shows a slate."""

    visit: Array
    user: Array
    day: Array
    slated: Array


def visits(world: World, count: int, *, seed: int) -> Visits:
    """Draw `count` visits."""
    settings = world.settings
    start = _starts(world, count, seed)
    chance = stream(seed, "who visits").random(count)
    user = who(world, start, chance)
    for shift in world.shifts(Kind.COVARIATE):
        moved = start >= shift.from_day
        user[moved] = who(world, start[moved], chance[moved], tilt=shift.size)
    shape = settings.steps_shape
    success = shape / (shape + settings.steps - 1)
    steps = 1 + stream(seed, "steps").negative_binomial(shape, success, size=count)
    return Visits(user, start, steps)


def who(world: World, start: Array, chance: Array, *, tilt: float = 0.0) -> Array:
    """The user int [s] of visits at `start` [s], by `chance` [s] in [0, 1): in proportion to activity.

    With a tilt the weights are activity * exp(tilt * age): over a standard normal age the mean age of those who visit
    rises by `tilt` standard deviations, and nothing else about them changes (exponential tilting).
    """
    people = world.people
    order = np.argsort(people.birth, kind="stable")
    weights = (people.activity * np.exp(tilt * people.age))[order].cumsum()
    there = np.searchsorted(people.birth[order], start, side="right")
    found = np.searchsorted(weights, chance * weights[np.maximum(there, 1) - 1], side="right")
    users: Array = order[np.minimum(found, np.maximum(there, 1) - 1)]
    return users


def steps(world: World, came: Visits, *, seed: int) -> Steps:
    """Every step of every visit, with log-normal pauses between them."""
    settings, rng = world.settings, stream(seed, "pauses")
    visit = np.repeat(np.arange(len(came.user)), came.steps)
    pause = settings.gap_seconds * np.exp(settings.gap_spread * rng.normal(size=len(visit)))
    pause = np.minimum(pause, _LONGEST_GAP)
    first = np.cumsum(came.steps) - came.steps
    pause[first] = 0.0
    since = np.cumsum(pause)
    since -= since[first][visit]
    slated = stream(seed, "slated").random(len(visit)) >= settings.organic
    return Steps(visit, came.user[visit], came.start[visit] + since / SECONDS_A_DAY, slated)


def _starts(world: World, count: int, seed: int) -> Array:
    """Times [s] of visits in days, sorted."""
    settings = world.settings
    days = int(np.ceil(settings.days))
    noise = np.exp(settings.day_noise * stream(seed, "days").normal(size=days))
    weekday = (settings.start.weekday() + np.arange(days)) % 7
    rate = ((WEEKDAYS[weekday] * noise)[:, None] * HOURS).ravel()
    hour = np.arange(days * 24) / 24
    birth = np.sort(world.people.birth)
    activity = world.people.activity[np.argsort(world.people.birth, kind="stable")].cumsum()
    there = np.searchsorted(birth, hour, side="right")
    rate = rate * np.where(there > 0, activity[np.maximum(there, 1) - 1], 0.0) * (hour < settings.days)
    rng = stream(seed, "starts")
    total = rate.cumsum()
    drawn = np.searchsorted(total, rng.random(count) * total[-1], side="right")
    return np.sort(np.minimum(hour[drawn] + rng.random(count) / 24, settings.days))
