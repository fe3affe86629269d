"""What a column holds in each window, and why two columns cannot be compared.

A column that turned all but empty, or constant, can look quiet to a distance that drops missing values: such a column
is named, and never green.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from monitoring.drift.policy import DriftPolicy

NUMBER, BOOLEAN, TEXT, OTHER = "number", "boolean", "text", "other"
NAMED_LEVELS = 3


@dataclass(frozen=True)
class ColumnProfile:
    """The shape of one column in one window. `low` to `spread` are of the present, finite values of a number."""

    kind: str
    rows: int
    present: int
    low: float
    high: float
    mean: float
    spread: float
    levels: Mapping[str, int] = field(default_factory=dict)  # rows of each value of a text

    @property
    def missing_share(self) -> float:
        return 1.0 - self.present / self.rows if self.rows else 1.0

    @property
    def constant(self) -> bool:
        return len(self.levels) == 1 if self.kind == TEXT else self.low == self.high


def numbers(column: pa.ChunkedArray) -> np.ndarray:
    """Return a numeric or boolean column as float64, missing values as NaN."""
    kind = column.type
    if not (pa.types.is_floating(kind) or pa.types.is_integer(kind)):
        column = column.cast(pa.float64())
    values: np.ndarray = np.asarray(column.to_numpy(zero_copy_only=False), np.float64)
    return values


def profile(column: pa.ChunkedArray) -> ColumnProfile:
    """Describe one column; one of nested values has a kind and no more."""
    kind, rows = _kind(column.type), len(column)
    unknown = (float("nan"),) * 4
    if kind == TEXT:
        counted = pc.value_counts(column.drop_null())
        levels = {str(one["values"]): int(one["counts"]) for one in counted.to_pylist()}
        return ColumnProfile(kind, rows, rows - column.null_count, *unknown, levels=levels)
    if kind == OTHER:
        return ColumnProfile(kind, rows, rows - column.null_count, *unknown)
    values = numbers(column)
    finite = values if np.isfinite(values).all() else values[np.isfinite(values)]
    if not len(finite):
        return ColumnProfile(kind, rows, 0, *unknown)
    moments = (float(finite.min()), float(finite.max()), float(finite.mean()), float(finite.std()))
    return ColumnProfile(kind, rows, len(finite), *moments)


def _kind(arrow_type: pa.DataType) -> str:
    if pa.types.is_boolean(arrow_type):
        return BOOLEAN
    texts = (pa.types.is_string, pa.types.is_large_string, pa.types.is_dictionary)
    if any(check(arrow_type) for check in texts):
        return TEXT
    number = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)
    return NUMBER if any(check(arrow_type) for check in number) else OTHER


def same_constant(reference: ColumnProfile | None, current: ColumnProfile | None) -> bool:
    """Tell whether a column holds one and the same value in both windows."""
    if reference is None or current is None or reference.kind != current.kind:
        return False
    if reference.kind == TEXT:
        return reference.constant and current.constant and reference.levels.keys() == current.levels.keys()
    return reference.constant and current.constant and reference.low == current.low


def finding(
    column: str, *, reference: ColumnProfile | None, current: ColumnProfile | None, policy: DriftPolicy
) -> str | None:
    """Return why this column cannot be compared, or None; a window without the column has no profile."""
    if current is None:
        return "missing from the current window"
    if reference is None:
        return "not in the reference, so there is nothing to compare it with"
    sides = (reference, current)
    return (
        _type_finding(*sides)
        or _constant_finding(column, sides, policy)
        or _missing_finding(*sides, policy)
        or _level_finding(*sides, policy)
    )


def _type_finding(reference: ColumnProfile, current: ColumnProfile) -> str | None:
    if reference.kind != current.kind:
        return f"changed type from {reference.kind} to {current.kind}"
    return "neither a number nor a boolean nor a text" if current.kind == OTHER else None


def _constant_finding(column: str, sides: tuple[ColumnProfile, ColumnProfile], policy: DriftPolicy) -> str | None:
    reference, current = sides
    empty = [name for name, side in (("reference", reference), ("current", current)) if not side.present]
    if empty:
        return f"holds no value in the {' and the '.join(empty)} window"
    if same_constant(reference, current):
        return f"constant in both windows ({_range(current)}), so its distance says nothing"
    by_chance = policy.is_flag(column) and all(_rare(side, policy) for side in sides)
    if (reference.constant or current.constant) and not by_chance:
        return f"constant: {_range(reference)} in the reference, {_range(current)} in the current window"
    return None


def _rare(flag: ColumnProfile, policy: DriftPolicy) -> bool:
    """Tell whether one of the two values is so rare that a window may lack it."""
    return flag.low >= 0 and flag.high <= 1 and min(flag.mean, 1 - flag.mean) <= policy.rare_share


def _missing_finding(reference: ColumnProfile, current: ColumnProfile, policy: DriftPolicy) -> str | None:
    if current.missing_share - reference.missing_share > policy.missing_rise:
        shares = f"{current.missing_share:.0%} of the rows, {reference.missing_share:.0%} in the reference"
        return f"missing in {shares}"
    return None


def _level_finding(reference: ColumnProfile, current: ColumnProfile, policy: DriftPolicy) -> str | None:
    new = sorted(current.levels.keys() - reference.levels.keys(), key=lambda level: -current.levels[level])
    share = sum(current.levels[level] for level in new) / max(current.rows, 1)
    if share <= policy.new_category:
        return None
    named = ", ".join(repr(level) for level in new[:NAMED_LEVELS])
    return f"{share:.0%} of the rows hold a category that the reference does not have: {named}"


def _range(side: ColumnProfile) -> str:
    if side.kind == TEXT:
        return f"always {next(iter(side.levels))!r}" if side.constant else f"{len(side.levels)} values"
    return f"always {side.low:g}" if side.constant else f"{side.low:g} to {side.high:g}"
