"""What a benchmark says: a figure, beside what it was measured in the same run, and whether its bound holds."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from feature_repo.core.workspace import write_json


@dataclass(frozen=True)
class Row:
    """One figure. `bound` limits the ratio of value to yardstick value; `holds` is False where nothing was measured."""

    bench: str
    name: str
    value: float | None
    unit: str
    yardstick: str
    yardstick_value: float | None
    bound: str
    holds: bool

    @property
    def ratio(self) -> float | None:
        if self.value is None or not self.yardstick_value:
            return None
        return self.value / self.yardstick_value


def at_most(bench: str, name: str, value: float, *, unit: str, yardstick: tuple[str, float], ratio: float) -> Row:
    """A figure that may be at most `ratio` times its yardstick."""
    label, base = yardstick
    return Row(bench, name, value, unit, label, base, f"ratio <= {ratio:g}", base > 0 and value <= ratio * base)


def within(bench: str, name: str, value: float, *, unit: str, yardstick: tuple[str, float], limit: float) -> Row:
    """A figure that may be at most `limit`, whatever its yardstick; the yardstick says what the machine was like."""
    return Row(bench, name, value, unit, *yardstick, f"<= {limit:,} {unit}", value <= limit)


def not_measured(bench: str, name: str, reason: str) -> Row:
    """A row that says why there is no figure. It never holds."""
    return Row(bench, name, None, "", reason, None, "", holds=False)


def table_of(rows: Iterable[Row]) -> Table:
    table = Table("bench", "what", "figure", "beside", "its figure", "ratio", "bound", "holds")
    for row in rows:
        holds = "[green]yes[/]" if row.holds else "[red]no[/]"
        figure, beside = (_number(v, row.unit) for v in (row.value, row.yardstick_value))
        table.add_row(row.bench, row.name, figure, row.yardstick, beside, _number(row.ratio, ""), row.bound, holds)
    return table


def line_of(row: Row) -> str:
    """A row in words, for when it is measured: the figure, what it stands beside, and whether its bound holds."""
    beside = f" beside {_number(row.yardstick_value, row.unit)}" if row.yardstick_value is not None else ""
    bound = f" ({row.bound}: {'yes' if row.holds else 'NO'})" if row.bound else ""
    figure = row.yardstick if row.value is None else _number(row.value, row.unit)
    return f"{row.bench}: {row.name}: {figure}{beside}{bound}"


def write_rows(rows: Iterable[Row], path: Path) -> None:
    records: list[dict[str, Any]] = [{**asdict(row), "ratio": row.ratio} for row in rows]
    write_json(path, records)


def _number(value: float | None, unit: str) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f} {unit}" if abs(value) >= 100 else f"{value:.3g} {unit}".rstrip()
