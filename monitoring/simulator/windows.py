"""Windows of requests in the form of `training/reference.py`, for judging a judge of drift.

Rows are as hard as real ones: a slate's rows share their user's features, a user comes again within a window, each
day has effects of its own on all rows of it, counts are heavy-tailed, and `user_events`, `user_age_days`,
`item_events` and `item_age_days` grow with every day although nothing drifts. A shift changes the columns that TOUCHED
of `window_shift.py` names, in the way that its cause would; it moves the mean of the first of them by `size` standard
deviations of a quiet window, and touches no other column and no row before its day.
"""

from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa

from feature_repo.core.errors import SettingsRefused
from feature_repo.features.request import context_at
from monitoring.simulator.shift import Kind, Shift
from monitoring.simulator.streams import stream
from monitoring.simulator.tables import moments_us, numbered
from monitoring.simulator.truth import draw_clicks, examination, logits
from monitoring.simulator.window_features import CUMULATIVE, Asked, Features, ask, item_features, user_features
from monitoring.simulator.window_shift import shifted
from monitoring.simulator.world import World
from training.reference import ITEM, LABEL, MOMENT, REQUEST, USER

__all__ = ["CUMULATIVE", "spreads", "windows"]

Array = np.ndarray[Any, Any]

DAY_EFFECT = 0.1  # standard deviation of a day's effect, in those of the rows, or of the log of a rate
_SPREAD_REQUESTS = 4_000  # of the quiet window that standard deviations are taken from


def windows(
    world: World,
    *,
    requests: int,
    seed: int,
    shift: Shift | None = None,
    start_day: float = 0.0,
    days: float = 7.0,
) -> pa.Table:
    """One window of `requests` requests over [start_day, start_day + days): request_id, user_id, moment, item_id,
    label (a click), score, and float32 features. Another seed is another window of the same world.

    `shift.size` is in standard deviations of a quiet window's rows, and `shift.from_day` counts from the world's start.
    """
    if requests < 1 or not days > 0:
        raise SettingsRefused(f"a window needs at least 1 request and more than 0 days; got {requests} and {days:g}")
    asked, features = _quiet(world, requests, seed=seed, start_day=start_day, days=days)
    if shift is not None:
        rng, late = stream(seed, "shift"), asked.days >= shift.from_day
        features = shifted(
            features, shift, spreads(world, days), request=asked.request, rows=late[asked.request], rng=rng
        )
    return _table(world, asked, features, _labels(world, asked, shift, seed), seed)


@lru_cache(maxsize=8)
def spreads(world: World, days: float = 7.0) -> dict[str, tuple[float, float]]:
    """Mean and standard deviation of every column over a large quiet window: the unit of a shift."""
    _, features = _quiet(world, _SPREAD_REQUESTS, seed=world.seed, start_day=0.0, days=days)
    return {name: (float(values.mean()), float(values.std())) for name, values in features.items()}


def _quiet(world: World, requests: int, *, seed: int, start_day: float, days: float) -> tuple[Asked, Features]:
    rng = stream(seed, "window")
    asked = ask(world, requests, rng, start_day=start_day, days=days)
    day = np.floor(asked.days).astype(int)
    # A day's effects on activity, popularity, taste and price: one draw a day, shared by all rows of it.
    effects = stream(seed, "days").normal(scale=DAY_EFFECT, size=(4, int(day.max()) - int(start_day) + 1))
    effects = effects[:, day - int(start_day)]
    of_request = user_features(world, asked, effects, rng) | _context(world, asked)
    row_effects = effects[:, asked.request]
    of_row = item_features(world, asked, row_effects, rng)
    features = {"score": asked.score + row_effects[2], **of_row}
    features |= {name: values[asked.request] for name, values in of_request.items()}
    return asked, features


def _context(world: World, asked: Asked) -> Features:
    return dict(context_at(moments_us(world, asked.days)))


def _labels(world: World, asked: Asked, shift: Shift | None, seed: int) -> Array:
    """Clicks float32 [n], drawn from the world's truth; a taste shift of the world moves them, too."""
    if shift is not None and shift.kind is Kind.TASTE:
        world = replace(world, settings=world.settings.model_copy(update={"shifts": (shift,)}))
    slates = asked.items.reshape(len(asked.users), -1)
    attracted = 1 / (1 + np.exp(-logits(world, asked.users, slates, asked.days)))
    clicked = draw_clicks(examination(world.settings, slates.shape[1]) * attracted, stream(seed, "labels"))
    return np.asarray(clicked.ravel().astype(np.float32))


def _table(world: World, asked: Asked, features: Features, labels: Array, seed: int) -> pa.Table:
    place = pa.array(asked.request)
    identity = {
        REQUEST: numbered(f"w{seed}-", np.arange(len(asked.users))).take(place),
        USER: numbered("u", asked.users).take(place),
        MOMENT: pa.array(moments_us(world, asked.days)).cast(pa.timestamp("us", "UTC")).take(place),
        ITEM: numbered("i", asked.items),
        LABEL: pa.array(labels),
    }
    return pa.table(identity | {name: pa.array(values.astype(np.float32)) for name, values in features.items()})
