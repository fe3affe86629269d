"""What each kind of drift does to the rows of a window, so that the mean of its columns moves by a stated size."""

from collections.abc import Callable
from typing import Any

import numpy as np

from feature_repo.core.errors import SettingsRefused
from monitoring.simulator.shift import Kind, Shift

Array = np.ndarray[Any, Any]
Features = dict[str, Array]
Spreads = dict[str, tuple[float, float]]  # mean and standard deviation of each column

# The columns that change. The mean of the first moves by `size` standard deviations (down where the cause lowers it);
# the others follow from the same cause, by about as much.
TOUCHED: dict[Kind, tuple[str, ...]] = {
    Kind.COVARIATE: ("user:age", "user_amount_mean"),
    Kind.TASTE: ("score", "score_two-tower", "affinity_category"),
    Kind.POPULARITY: ("item_events_1d", "item_events_7d", "item_events_30d", "score_popular-30d"),
    Kind.NEW_ITEMS: ("item_age_days", "item_events", "item_events_30d", "item_events_7d", "item_events_1d"),
    Kind.BROKEN_COLUMN: ("item:price",),
    Kind.LATE: ("user_recency_days", "user_events_1d"),
    Kind.BOTS: ("user_events_7d", "user_events_1d", "user_events_30d"),
}
_BOT = 10.0  # standard deviations that a bot's counts lie above the mean


def shifted(
    features: Features, shift: Shift, spreads: Spreads, *, request: Array, rows: Array, rng: np.random.Generator
) -> Features:
    """New features [n] with the shift in `rows` (bool [n]); `request` int [n] says whose slate a row is in.

    Raises:
        SettingsRefused: no share of rows moves the column so far.
    """
    moved = _KINDS[shift.kind](features, shift.size, spreads, request, rng)
    return features | {name: np.where(rows, values, features[name]) for name, values in moved.items()}


def _added(features: Features, size: float, spreads: Spreads, names: tuple[str, ...]) -> Features:
    return {name: features[name] + size * spreads[name][1] for name in names}


def _covariate(f: Features, size: float, spreads: Spreads, _request: Array, _rng: np.random.Generator) -> Features:
    """Older people visit, who spend more."""
    return _added(f, size, spreads, TOUCHED[Kind.COVARIATE])


def _taste(f: Features, size: float, spreads: Spreads, _request: Array, _rng: np.random.Generator) -> Features:
    """The items at hand fit less well, so everything that measures the fit falls."""
    return _added(f, -size, spreads, TOUCHED[Kind.TASTE])


def _popularity(f: Features, size: float, spreads: Spreads, _request: Array, _rng: np.random.Generator) -> Features:
    """Counts grow in proportion, so that popular items gain most; what is shown stays.

    A busy day looks the same, so only the days of a window, never its rows, tell one from the other.
    """
    names = TOUCHED[Kind.POPULARITY]
    return {name: f[name] * (1 + size * spreads[name][1] / spreads[name][0]) for name in names}


def _new_items(f: Features, size: float, spreads: Spreads, request: Array, rng: np.random.Generator) -> Features:
    """So many rows show an item of today, without a past, that the mean age falls by `size`; counts fall with it."""
    mean, spread = spreads["item_age_days"]
    new = rng.random(len(request)) < _share(size * spread, mean, Kind.NEW_ITEMS)
    return {name: np.where(new, 0, f[name]) for name in TOUCHED[Kind.NEW_ITEMS]}


def _broken(f: Features, size: float, spreads: Spreads, request: Array, rng: np.random.Generator) -> Features:
    """So many requests see the price 0 that its mean falls by `size`."""
    mean, spread = spreads["item:price"]
    broken = rng.random(int(request[-1]) + 1) < _share(size * spread, mean, Kind.BROKEN_COLUMN)
    return {"item:price": np.where(broken[request], 0.0, f["item:price"])}


def _late(f: Features, size: float, spreads: Spreads, request: Array, rng: np.random.Generator) -> Features:
    """The store is `size` standard deviations of the recency behind, up to a day of it lost from the newest count."""
    lag = size * spreads["user_recency_days"][1]
    lost = rng.random(int(request[-1]) + 1) < min(lag, 1.0)
    newest = np.where(lost[request], 0, f["user_events_1d"])
    return {"user_recency_days": f["user_recency_days"] + lag, "user_events_1d": newest}


def _bots(f: Features, size: float, spreads: Spreads, request: Array, rng: np.random.Generator) -> Features:
    """So many requests come from bots that the mean counts rise by `size`: of 0.3, three in a hundred.

    They come under the ids of people, as a stolen account or a shared address would, so nobody asks more often.
    """
    bot = rng.random(int(request[-1]) + 1) < _share(size, _BOT, Kind.BOTS)
    return {
        name: np.where(bot[request], spreads[name][0] + _BOT * spreads[name][1], f[name]) for name in TOUCHED[Kind.BOTS]
    }


def _share(move: float, each: float, kind: Kind) -> float:
    """The share of rows that, moved by `each`, moves the mean by `move`."""
    if move > each:
        raise SettingsRefused(
            f"{kind}: expected a size that some of the rows can bring about; it takes {move / each:.2f}"
        )
    return move / each


_KINDS: dict[Kind, Callable[[Features, float, Spreads, Array, np.random.Generator], Features]] = {
    Kind.COVARIATE: _covariate,
    Kind.TASTE: _taste,
    Kind.POPULARITY: _popularity,
    Kind.NEW_ITEMS: _new_items,
    Kind.BROKEN_COLUMN: _broken,
    Kind.LATE: _late,
    Kind.BOTS: _bots,
}
