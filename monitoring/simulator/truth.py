"""The truth of a world: how likely each place of each slate is clicked, in closed form.

P(click on item i in place j | user u, day t) = examination(j) * sigmoid(logit(u, i, t))
logit = intercept + strength * taste_u . traits_i - price * thrift_u * dearness_i + appeal_i(t)
appeal_i(t) = spread * quality_i + swing * sin(2 pi t / period_i + phase_i) + novelty * exp(-age / novelty_days)
"""

from typing import Any

import numpy as np

from feature_repo.core.errors import NotMeasurable
from monitoring.simulator.settings import SimulatorSettings
from monitoring.simulator.shift import Kind
from monitoring.simulator.streams import stream
from monitoring.simulator.world import World

Array = np.ndarray[Any, Any]

EMPTY = -1  # a place of a slate without an item
_ROWS = 1 << 15  # slates at a time, so that memory does not grow with them
_PAIRS = 20_000  # of user and item, over which the intercept is fitted


def examination(settings: SimulatorSettings, places: int) -> Array:
    """Probability [places] that a place is looked at, 1 for the first (a power law, Joachims et al., WSDM 2017)."""
    curve: Array = np.arange(1, places + 1) ** -settings.examination_exponent
    return curve


def click_probabilities(world: World, users: Array, slates: Array, *, day: Array | float) -> Array:
    """Probability [r, k] of a click on each place. `users` int [r], `slates` int [r, k], `day` [r] or one number.

    EMPTY places and items that are not there yet on that day are never clicked.
    """
    slates = np.asarray(slates)
    if slates.ndim != 2 or len(users) != len(slates):
        raise NotMeasurable(f"expected users [r] and slates [r, k]; got {np.shape(users)} and {slates.shape}")
    days = np.broadcast_to(np.asarray(day, float), (len(slates),))
    curve = examination(world.settings, slates.shape[1])
    found = np.empty(slates.shape)
    for start in range(0, len(slates), _ROWS):
        rows = slice(start, start + _ROWS)
        found[rows] = curve * attraction(world, np.asarray(users)[rows], slates[rows], days[rows])
    return found


def attraction(world: World, users: Array, slates: Array, days: Array) -> Array:
    """Probability [r, k] that an item that is looked at is clicked; users [r], slates [r, k], days [r]."""
    there = (slates != EMPTY) & (world.items.birth[slates] <= days[:, None])
    with np.errstate(over="ignore"):
        return np.where(there, 1 / (1 + np.exp(-logits(world, users, slates, days))), 0.0)


def logits(world: World, users: Array, slates: Array, days: Array) -> Array:
    """The logit [r, k] of attraction, of items that are there or not."""
    settings, people, items = world.settings, world.people, world.items
    fit = np.einsum("rd,rkd->rk", tastes(world, users, days), items.traits[slates])
    dear = people.thrift[users][:, None] * items.dearness[slates]
    logit: Array = world.intercept + settings.taste_strength * fit - settings.price_strength * dear
    return logit + appeal(world, slates, days[:, None])


def tastes(world: World, users: Array, days: Array) -> Array:
    """Float32 [r, d]: the tastes of users [r] on days [r]."""
    found: Array = world.people.taste[users]
    for shift in world.shifts(Kind.TASTE):
        found = found + np.where(days >= shift.from_day, shift.size, 0.0).astype(np.float32)[:, None] * world.taste_move
    return found


def appeal(world: World, items: Array, days: Array) -> Array:
    """What all users find in items on `days`, in logits; both broadcast."""
    settings, known = world.settings, world.items
    age = np.maximum(days - known.birth[items], 0)
    swing = np.sin(2 * np.pi * days / known.period[items] + known.phase[items])
    found = settings.quality_spread * known.quality[items] + settings.trend_strength * swing
    found = found + settings.novelty * np.exp(-age / settings.novelty_days)
    for shift in world.shifts(Kind.POPULARITY):
        moved = shift.size * settings.quality_spread * world.appeal_move[items]
        found = found + np.where(days >= shift.from_day, moved, 0.0)
    return np.asarray(found)


def draw_clicks(probabilities: Array, rng: np.random.Generator) -> Array:
    """Bool [r, k]: one draw of each place, independent of each other given the probabilities."""
    return rng.random(probabilities.shape) < probabilities


def true_click_rate(world: World, slates: Array, users: Array, day: Array | float) -> float:
    """Expected clicks an impression of these slates: the truth that an estimate is held against."""
    shown = np.asarray(slates) != EMPTY
    if not shown.any():
        raise NotMeasurable("a click rate needs at least one item in a slate; got none")
    return float(click_probabilities(world, users, slates, day=day)[shown].mean())


def policy_click_rate(world: World, users: Array, placing: Array, *, day: float) -> float:
    """Expected clicks an impression of a policy that draws its slates, on one day.

    `placing` [r, k, i] are the probabilities that item i stands in place j for user r. In a position-based model a
    click depends on its own place alone, so these say all, however the places of a slate hang together.
    """
    everything = np.broadcast_to(np.arange(placing.shape[2]), (len(users), placing.shape[2]))
    attracted = attraction(world, np.asarray(users), everything, np.full(len(users), day))
    clicks = np.einsum("rki,ri,k->", placing, attracted, examination(world.settings, placing.shape[1]))
    shown = placing.sum()
    if not shown > 0:
        raise NotMeasurable("a click rate needs at least one item in a slate; got none")
    return float(clicks / shown)


def fitting_intercept(world: World) -> float:
    """The intercept at which random slates of old items have the base click rate at day 0.

    Without the shifts, so that a world differs from its twin with a shift only from the shift on.
    """
    rng = stream(world.seed, "intercept")
    settings = world.settings
    quiet = World(settings.model_copy(update={"shifts": ()}), *_parts(world))
    users = rng.integers(settings.users, size=_PAIRS)
    items = rng.integers(settings.items, size=(_PAIRS, 1))
    days = np.maximum(world.items.birth[items[:, 0]], 0.0)
    rest = logits(quiet, users, items, days)
    target = settings.base_click_rate / examination(settings, settings.slate).mean()
    low, high = -40.0, 40.0
    for _ in range(60):  # bisection: the mean rises with the intercept
        middle = (low + high) / 2
        low, high = (middle, high) if (1 / (1 + np.exp(-(rest + middle)))).mean() < target else (low, middle)
    return (low + high) / 2


def _parts(world: World) -> tuple[Any, ...]:
    return world.seed, world.people, world.items, world.taste_move, world.appeal_move, 0.0
