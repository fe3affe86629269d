"""A window as plain arrays: who and when by number, and every column that is judged as float64 with NaN for missing.

What grows with time by nature is made comparable here: a total since the beginning becomes a rate a day. A text column
becomes one column of 0 and 1 for each of its commonest values, and a column with gaps gets one that says where.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from feature_repo.core.errors import RecommenderError
from monitoring.drift.policy import DriftPolicy
from monitoring.drift.profile import TEXT, ColumnProfile, numbers, profile
from monitoring.drift.window import ITEM, LABEL, MOMENT, REQUEST, USER, Window, codes_of

Array = np.ndarray[Any, Any]

DAY_US = 86_400_000_000
LEVELS = 12  # of a text column that are judged one by one
GAPS = "missing:"
ACTIVITY = "requests of the user that day"


@dataclass(frozen=True)
class Rows:
    """n rows: user, day and request by number [n], mean moment in days, columns [n] by name, profiles of the file's.

    `people` are the ids behind the users' numbers.
    """

    user: Array
    day: Array
    request: Array
    mean_day: float
    values: Mapping[str, Array]
    profiles: Mapping[str, ColumnProfile]
    items: Array | None  # item ids [n], object
    people: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.user)


@dataclass(frozen=True)
class Basis:
    """What the reference fixes for every window: the levels of its texts, and which columns have gaps."""

    levels: Mapping[str, tuple[str, ...]]
    gaps: frozenset[str]


def rows_of(window: Window, policy: DriftPolicy, basis: Basis | None = None) -> tuple[Rows, Basis]:
    """Take a window apart; without a `basis` it is the reference, and gives one.

    Raises:
        RecommenderError: the moments are no timestamps.
    """
    table = window.sample
    moments = _moments(table)
    features = window.features
    profiles = {name: profile(features[name]) for name in features.column_names}
    if basis is None:
        basis = _basis(profiles)
    user, request = codes_of(table[USER]), codes_of(table[REQUEST])
    days = moments // DAY_US
    day = np.unique(days, return_inverse=True)[1]
    values = {name: numbers(features[name]) for name, held in profiles.items() if held.kind != TEXT}
    values |= _rates(values, policy)
    for name, levels in basis.levels.items():
        values |= _indicators(features, name, levels)
    values |= {f"{GAPS}{name}": (~np.isfinite(values[name])).astype(float) for name in basis.gaps if name in values}
    values[ACTIVITY] = _activity(user, day, request)
    if LABEL in table.column_names:
        values[LABEL] = numbers(table[LABEL])
    items = np.asarray(table[ITEM].to_pylist(), object) if ITEM in table.column_names else None
    mean_day = float(moments.mean()) / DAY_US if len(moments) else 0.0
    people = tuple(map(str, table[USER].unique().to_pylist()))  # in order of appearance, as their numbers are
    return Rows(user, day, request, mean_day, values, profiles, items, people), basis


def _moments(table: pa.Table) -> Array:
    kind = table[MOMENT].type
    if not pa.types.is_timestamp(kind):
        raise RecommenderError(f"a window's column {MOMENT} holds timestamps; got {kind}")
    micros: Array = table[MOMENT].cast(pa.timestamp("us", kind.tz), safe=False).cast(pa.int64()).fill_null(0).to_numpy()
    return micros


def _basis(profiles: Mapping[str, ColumnProfile]) -> Basis:
    levels = {}
    for name, held in profiles.items():
        if held.kind == TEXT:
            counted = sorted(held.levels.items(), key=lambda pair: (-pair[1], pair[0]))
            levels[name] = tuple(level for level, _ in counted[:LEVELS])
    gaps = frozenset(n for n, held in profiles.items() if held.kind != TEXT and 0 < held.missing_share < 1)
    return Basis(levels, gaps)


def _rates(values: Mapping[str, Array], policy: DriftPolicy) -> dict[str, Array]:
    """Totals since the beginning as a rate a day, by the age that stands beside them; the first day counts as one."""
    rates = {}
    for name in filter(policy.is_total, values):
        age = values.get(f"{name.split('_')[0]}_age_days")
        if age is not None:
            rates[name] = values[name] / np.fmax(age, 1.0)
    return rates


def _indicators(features: pa.Table, name: str, levels: tuple[str, ...]) -> dict[str, Array]:
    if name not in features.column_names:
        return {}
    texts = features[name].cast(pa.string()) if not pa.types.is_string(features[name].type) else features[name]
    equal = (pc.fill_null(pc.equal(texts, level), False) for level in levels)
    return {
        f"{name}={level}": np.asarray(hit.to_numpy(zero_copy_only=False), float)
        for level, hit in zip(levels, equal, strict=True)
    }


def _activity(user: Array, day: Array, request: Array) -> Array:
    """Log of the number of requests that the row's user made on the row's day: one machine is many requests."""
    if not len(user):
        return np.zeros(0)
    block = user * (int(day.max()) + 1) + day
    _, first = np.unique(request, return_index=True)
    blocks, of_request = np.unique(block[first], return_inverse=True)
    counts = np.bincount(of_request, minlength=len(blocks))
    logs: Array = np.log(counts[np.searchsorted(blocks, block)].astype(float))
    return logs
