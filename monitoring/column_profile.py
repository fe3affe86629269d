"""What a column holds in each window, and why two columns cannot be compared: what Evidently leaves out.

Evidently drops missing and infinite values before it measures, so a column that turned all but empty can
score 0; it clamps the divisor of its normed distance, so a constant that moves a little scores 0 too. Both
would be green.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from monitoring.drift import DriftPolicy

NUMBER, BOOLEAN, OTHER = "number", "boolean", "other"


@dataclass(frozen=True)
class ColumnProfile:
    """The shape of one column in one window. `low` to `spread` are of the present, finite values."""

    kind: str
    rows: int
    present: int
    low: float
    high: float
    mean: float
    spread: float

    @property
    def missing_share(self) -> float:
        return 1.0 - self.present / self.rows if self.rows else 1.0

    @property
    def constant(self) -> bool:
        return self.low == self.high


def numbers(column: pa.ChunkedArray) -> np.ndarray:
    """Return a numeric or boolean column as float64, missing values as NaN."""
    values: np.ndarray = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    return values


def profile(column: pa.ChunkedArray) -> ColumnProfile:
    """Describe one column; a column of text or of nested values has a kind and no numbers."""
    kind = _kind(column.type)
    if kind == OTHER:
        present = len(column) - column.null_count
        return ColumnProfile(kind, len(column), present, *[float("nan")] * 4)
    values = numbers(column)
    finite = values[np.isfinite(values)]
    if not len(finite):
        return ColumnProfile(kind, len(column), 0, *[float("nan")] * 4)
    moments = (float(finite.min()), float(finite.max()), float(finite.mean()), float(finite.std()))
    return ColumnProfile(kind, len(column), len(finite), *moments)


def _kind(arrow_type: pa.DataType) -> str:
    if pa.types.is_boolean(arrow_type):
        return BOOLEAN
    number = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)
    return NUMBER if any(check(arrow_type) for check in number) else OTHER


def same_constant(reference: ColumnProfile | None, current: ColumnProfile | None) -> bool:
    """Tell whether a column holds one and the same value in both windows."""
    if reference is None or current is None or reference.kind != current.kind:
        return False
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
    return _type_finding(*sides) or _constant_finding(column, sides, policy) or _missing_finding(*sides, policy)


def _type_finding(reference: ColumnProfile, current: ColumnProfile) -> str | None:
    if reference.kind != current.kind:
        return f"changed type from {reference.kind} to {current.kind}"
    return "neither a number nor a boolean" if current.kind == OTHER else None


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


def _range(side: ColumnProfile) -> str:
    return f"always {side.low:g}" if side.constant else f"{side.low:g} to {side.high:g}"
