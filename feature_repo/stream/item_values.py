"""The categories of items as they were at an event, from the table that the batch transform reads."""

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

Values = Mapping[str, tuple[str, ...]]


class ItemValues:
    """Looks up what the attributes `names` of an item were; nothing where the item was not known yet."""

    def __init__(self, names: tuple[str, ...], rows: Mapping[str, tuple[tuple[int, int, Values], ...]]) -> None:
        self._rows = rows  # item id -> (holds from, recorded at, values), newest first
        self._nothing: Values = dict.fromkeys(names, ())

    def __call__(self, item_id: str, moment_us: int) -> Values:
        for valid_from, recorded, values in self._rows.get(item_id, ()):
            if valid_from <= moment_us and recorded <= moment_us:
                return values
        return self._nothing


def read_item_values(path: Path, names: tuple[str, ...]) -> ItemValues:
    """From the table item_metadata at `path`; without attributes or without the table every item has none."""
    if not names or not path.exists():
        return ItemValues(names, {})
    table = pq.read_table(path)
    valid_from = _microseconds(table["event_timestamp"])
    recorded = _microseconds(table["created_timestamp"]) if "created_timestamp" in table.column_names else valid_from
    columns = [_lists(table[name]) for name in names]
    rows: dict[str, list[tuple[int, int, Values]]] = {}
    for item, since, known, *cells in zip(table["item_id"].to_pylist(), valid_from, recorded, *columns, strict=True):
        rows.setdefault(item, []).append((since, known, dict(zip(names, cells, strict=True))))
    return ItemValues(names, {i: tuple(sorted(r, key=lambda row: row[:2], reverse=True)) for i, r in rows.items()})


def _microseconds(column: pa.ChunkedArray) -> list[int]:
    return list(pc.cast(column.cast(pa.timestamp("us", "UTC")), pa.int64()).to_pylist())


def _lists(column: pa.ChunkedArray) -> list[tuple[str, ...]]:
    """The values of each row: several of a multi attribute, one or none of a categorical one."""
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        return [tuple(values or ()) for values in column.to_pylist()]
    return [() if value is None else (value,) for value in column.to_pylist()]
