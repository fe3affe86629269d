"""Small windows of slates with a known truth: users who come again, whole days, columns to break."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

DAY_US = 86_400_000_000
SLATE = 5


def slates(
    *, seed: int, requests: int = 1_000, users: int = 2_000, first_day: int = 0, days: int = 7, **replaced: Any
) -> pa.Table:
    """`requests` slates of SLATE items over whole days; `replaced` sets columns, None takes one away.

    `taste` and `activity` belong to the user, `fit` and `price` to the row, `genre=War` is a flag.
    """
    rng = np.random.default_rng(seed)
    asked = np.repeat(rng.integers(users, size=requests), SLATE)
    rows = len(asked)
    day = np.repeat(first_day + np.arange(requests) % days, SLATE)
    noon = np.repeat(rng.integers(DAY_US, size=requests), SLATE)
    of_user = np.random.default_rng(1).normal(size=(2, users))
    request = np.repeat(np.arange(requests), SLATE)
    columns: dict[str, Any] = {
        "request_id": _named(f"w{seed}-", request),
        "user_id": _named("u", asked),
        "item_id": _named("i", (asked * 7 + np.arange(rows)) % 97),
        "moment": pa.array(day * DAY_US + noon, pa.timestamp("us", "UTC")),
        "score": rng.normal(size=rows),
        "taste": of_user[0][asked],
        "activity": np.exp(of_user[1])[asked],
        "fit": rng.normal(size=rows),
        "price": rng.lognormal(size=rows),
        "genre=War": (rng.random(rows) < 0.3).astype(float),
    }
    columns |= replaced
    return pa.table({name: values for name, values in columns.items() if values is not None})


def _named(prefix: str, numbers: Any) -> pa.Array:
    return pa.array([f"{prefix}{number}" for number in range(int(numbers.max()) + 1)]).take(pa.array(numbers))


def moved(table: pa.Table, **by: float) -> pa.Table:
    """The table with columns moved by so much."""
    return with_columns(table, {name: table[name].to_numpy() + size for name, size in by.items()})


def with_columns(table: pa.Table, columns: Mapping[str, Any]) -> pa.Table:
    for name, values in columns.items():
        array = values if isinstance(values, pa.Array) else pa.array(values)
        place = table.column_names.index(name) if name in table.column_names else None
        table = table.append_column(name, array) if place is None else table.set_column(place, name, array)
    return table
