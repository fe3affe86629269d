"""Draws a world from its settings: the same seed gives the same one, and a shift changes nothing else in it."""

from dataclasses import replace
from typing import Any

import numpy as np

from monitoring.simulator.settings import SimulatorSettings
from monitoring.simulator.shift import Kind
from monitoring.simulator.streams import stream
from monitoring.simulator.truth import fitting_intercept
from monitoring.simulator.world import CITIES, Catalogue, People, World

Array = np.ndarray[Any, Any]

OLD_DAYS = 365.0  # before day 0, over which those came who are there from the start


def make_world(settings: SimulatorSettings, *, seed: int) -> World:
    """Draw people and items, and fit the intercept to the base click rate."""
    items = _catalogue(settings, seed)
    rng = stream(seed, "moves")
    world = World(
        settings=settings,
        seed=seed,
        people=_people(settings, stream(seed, "people")),
        items=items,
        taste_move=rng.choice([-1.0, 1.0], size=settings.dimension).astype(np.float32),
        appeal_move=rng.normal(size=settings.items),
        intercept=0.0,
    )
    flooded = stream(seed, "moves of new items").normal(size=len(items) - settings.items)
    world = replace(world, appeal_move=np.concatenate([world.appeal_move, flooded]))
    return replace(world, intercept=fitting_intercept(world))


def _people(settings: SimulatorSettings, rng: np.random.Generator) -> People:
    count = settings.users
    taste = rng.normal(size=(count, settings.dimension)).astype(np.float32)
    age, thrift = rng.normal(size=(2, count))
    activity = np.exp(settings.activity_spread * rng.normal(size=count))
    city = rng.choice(len(CITIES), size=count, p=_zipf(len(CITIES), 0.7))
    return People(taste, age, thrift, activity, city, _births(count, settings.new_users, settings.days, rng))


def _catalogue(settings: SimulatorSettings, seed: int) -> Catalogue:
    """The usual items, then those of each flood; kinds and brands are the same for all."""
    shapes = stream(seed, "shapes")
    centres = shapes.normal(size=(settings.categories, settings.dimension))
    makers = shapes.normal(size=(settings.brands, settings.dimension))
    level = shapes.normal(size=settings.categories)  # mean log price of a category
    usual = stream(seed, "items")
    parts = [_items(settings, settings.items, usual, centres, makers, level)]
    parts[0]["birth"] = _births(settings.items, settings.new_items, settings.days, usual)
    floods = (shift for shift in settings.shifts if shift.kind is Kind.NEW_ITEMS)
    for number, flood in enumerate(floods):
        count = round(flood.size * settings.items)
        part = _items(settings, count, stream(seed, "flood", number), centres, makers, level)
        parts.append({**part, "birth": np.full(count, flood.from_day)})
    return Catalogue(**{name: np.concatenate([part[name] for part in parts]) for name in parts[0]})


def _items(
    settings: SimulatorSettings, count: int, rng: np.random.Generator, centres: Array, makers: Array, level: Array
) -> dict[str, Array]:
    category = rng.choice(settings.categories, size=count, p=_zipf(settings.categories, 0.5))
    brand = rng.integers(settings.brands, size=count)
    traits = centres[category] + 0.6 * makers[brand] + 0.8 * rng.normal(size=(count, settings.dimension))
    dearness = 0.7 * level[category] + 0.7 * rng.normal(size=count)
    return {
        "traits": (traits / np.linalg.norm(traits, axis=1, keepdims=True)).astype(np.float32),
        "category": category,
        "brand": brand,
        "price": np.round(20 * np.exp(0.8 * dearness), 2),
        "dearness": dearness,
        "quality": rng.normal(size=count),
        "period": settings.trend_days * rng.uniform(0.5, 1.5, size=count),
        "phase": rng.uniform(0, 2 * np.pi, size=count),
    }


def _births(count: int, new: float, days: float, rng: np.random.Generator) -> Array:
    later = rng.random(count) < new
    return np.where(later, rng.uniform(0, days, size=count), -rng.uniform(0, OLD_DAYS, size=count))


def _zipf(count: int, exponent: float) -> Array:
    weights: Array = np.arange(1, count + 1) ** -exponent
    return np.asarray(weights / weights.sum())
