"""Compare what a training set holds with what was known at each row's moment, whatever features there are."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from feature_repo.core.errors import LeakFound
from feature_repo.dataset.split import from_microseconds
from training.leaks.oracle import without_label
from training.leaks.probes import Asked

SHOWN = 3  # values of a list that a sentence quotes, the newest


@dataclass(frozen=True)
class Compared:
    """`values`: how many values were compared for each feature, over `rows` rows; two nulls are no evidence."""

    rows: int
    values: Mapping[str, int]


def compare(stored: pa.Table, known: Mapping[str, pa.Table], asked: Asked, *, key: str) -> Compared:
    """Every feature of `stored` against the same of `known` (tables by view), row by row.

    Raises:
        LeakFound: two values differ, or a feature cannot be made from the log.
    """
    expected = {name: table[name] for table in known.values() for name in table.column_names}
    values = {}
    for feature in (name for name in stored.column_names if name not in (key, "event_timestamp")):
        if feature not in expected:
            raise LeakFound(f"the training set holds {feature}, which the transforms do not make from the log")
        pairs = list(zip(stored[feature].to_pylist(), expected[feature].to_pylist(), strict=True))
        values[feature] = _same_values(feature, pairs, asked, key=key)
    return Compared(rows=len(asked.ids), values=values)


def _same_values(feature: str, pairs: list[tuple[Any, Any]], asked: Asked, *, key: str) -> int:
    there = 0
    for row, (got, labelled) in enumerate(pairs):
        known = _unlabelled(labelled, int(asked.worlds[row]))
        if not same(got, known):
            who = f"{key.removesuffix('_id')} {asked.ids[row]}"
            when = from_microseconds(asked.moments_us[row]).isoformat()
            raise LeakFound(
                f"the training set gives {feature} = {_shown(got)} for {who} at {when}; "
                f"the log before that moment gives {_shown(known)}: a feature sees the future"
            )
        there += not (same(got, None) and same(known, None))
    return there


def same(one: Any, other: Any) -> bool:
    """Equal, with NaN as null, and floats up to the rounding of a sum in another order."""
    one, other = _null_if_nan(one), _null_if_nan(other)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-9)
    return bool(one == other)


def _null_if_nan(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value


def _unlabelled(value: Any, world: int) -> Any:
    return [_unlabelled(v, world) for v in value] if isinstance(value, list) else without_label(value, world)


def _shown(value: Any) -> str:
    if isinstance(value, list) and len(value) > SHOWN:
        return f"{len(value)} values that end in {', '.join(map(repr, value[-SHOWN:]))}"
    return "nothing" if value is None else f"{value!r:.80}"
