"""Who asks in a window, what is answered, and what a store would say of both: the columns of `windows.py`."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from monitoring.simulator.truth import appeal, tastes
from monitoring.simulator.visits import HOURS
from monitoring.simulator.world import World

Array = np.ndarray[Any, Any]
Features = dict[str, Array]

CUMULATIVE = ("user_events", "user_age_days", "item_events", "item_age_days")  # grow while nothing drifts
CANDIDATES = 40  # random items, of which a slate shows the best


@dataclass(frozen=True)
class Asked:
    """r requests, and n = r * k rows of their slates."""

    users: Array  # int [r]
    days: Array  # [r], days since the start
    items: Array  # int [n]
    request: Array  # int [n]
    score: Array  # [n]


def ask(world: World, requests: int, rng: np.random.Generator, *, start_day: float, days: float) -> Asked:
    """Who asks, when, and what a recommender that knows tastes somewhat answers."""
    drawn = np.searchsorted(_chances(world), rng.random(requests) * _chances(world)[-1])
    moment = start_day + days * rng.random(requests)
    hour = np.searchsorted(HOURS.cumsum(), rng.random(requests)).clip(max=23)
    moment = np.minimum(np.floor(moment) + (hour + rng.random(requests)) / 24, start_day + days - 1e-6)
    moment = np.sort(np.maximum(moment, start_day))
    offered = rng.integers(world.settings.items, size=(requests, CANDIDATES))
    fit = np.einsum("rd,rkd->rk", tastes(world, drawn, np.full(requests, -1.0)), world.items.traits[offered])
    score = fit + appeal(world, offered, np.zeros((requests, 1))) + 0.5 * rng.normal(size=offered.shape)
    k = min(world.settings.slate, CANDIDATES)
    best = np.argsort(-score, axis=1, kind="stable")[:, :k]
    request = np.repeat(np.arange(requests), k)
    taken = (np.take_along_axis(values, best, axis=1).ravel() for values in (offered, score))
    return Asked(drawn, moment, next(taken), request, next(taken))


@lru_cache(maxsize=8)
def _chances(world: World) -> Array:
    """Cumulative chances [u] of being the one who asks."""
    return world.people.activity.cumsum()


def user_features(world: World, asked: Asked, effects: Array, rng: np.random.Generator) -> Features:
    """What a store would say of the user at that moment, [r] each: the same rates for a user whenever she asks."""
    people, users = world.people, asked.users
    rate = 0.3 * people.activity[users] * np.exp(effects[0])
    one = rng.poisson(rate)
    seven = one + rng.poisson(6 * rate)
    month = seven + rng.poisson(23 * rate)
    age_days = np.maximum(asked.days - people.birth[users], 0.0) + 1
    worth = 20 * np.exp(-0.3 * people.thrift[users] + 0.2 * people.age[users])
    return {
        "user_events_1d": one,
        "user_events_7d": seven,
        "user_events_30d": month,
        "user_events": rng.poisson(0.3 * people.activity[users] * age_days),
        "user_recency_days": rng.exponential(1 / (0.2 + rate)),
        "user_age_days": age_days,
        "user_trend": np.log((seven / 7 + 1 / 30) / (month / 30 + 1 / 30)),
        "user_amount_mean": worth * np.exp(0.1 * rng.normal(size=len(users))),
        "user:age": 40 + 12 * people.age[users],
        "user:city": people.city[users],
    }


def item_features(world: World, asked: Asked, effects: Array, rng: np.random.Generator) -> Features:
    """What is known of an item at that moment and of how it fits, [n] each."""
    items, at, days = world.items, asked.items, asked.days[asked.request]
    rate = 2 * np.exp(appeal(world, at, np.zeros(len(at))) + effects[1])
    one = rng.poisson(rate)
    seven = one + rng.poisson(6 * rate)
    month = seven + rng.poisson(23 * rate)
    age_days = np.maximum(days + 60 - items.birth[at], 0.0)
    tower = asked.score + 0.5 * rng.normal(size=len(at)) + effects[2]
    flags = {f"item:category=c{n:02d}": items.category[at] == n for n in range(min(world.settings.categories, 6))}
    return {
        "score_two-tower": tower,
        "rank_two-tower": np.tile(np.arange(1, world.settings.slate + 1), len(at))[: len(at)],
        "score_popular-30d": np.log1p(month),
        "affinity_category": np.tanh(0.5 * asked.score + 0.3 * rng.normal(size=len(at)) + effects[2]),
        "item_events_1d": one,
        "item_events_7d": seven,
        "item_events_30d": month,
        "item_events": rng.poisson(2 * np.exp(0.5 * items.quality[at]) * age_days),
        "item_recency_days": rng.exponential(1 / rate),
        "item_age_days": age_days,
        "item_trend": np.log((seven / 7 + 1 / 30) / (month / 30 + 1 / 30)),
        "item:price": items.price[at] * np.exp(effects[3]),
        "item:brand": items.brand[at],
        **flags,
    }
