"""Columns in memory: a table as a dict of numpy arrays, lists padded to a matrix."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

Columns = dict[str, np.ndarray[Any, Any]]


def as_columns(table: pa.Table, names: Iterable[str]) -> Columns:
    """Numpy arrays [rows] for scalars (float64 with NaN for null, or objects) and [rows, longest] for lists."""
    return {name: _as_array(table[name]) for name in names}


def row_as_columns(row: Mapping[str, Any], schema: Mapping[str, pa.DataType]) -> Columns:
    """One raw feature row as columns of length 1, as `as_columns` would give them; a feature that it lacks is null.

    Without Arrow, whose arrays cost more to build than one row is worth.
    """
    return row_reader(schema)(row)


def row_reader(schema: Mapping[str, pa.DataType]) -> Callable[[Mapping[str, Any]], Columns]:
    """`row_as_columns` of any row of this schema: what Arrow's types say is asked once."""
    cells = {name: _cell(kind) for name, kind in schema.items()}
    return lambda row: {name: cell(row.get(name)) for name, cell in cells.items()}


def take(columns: Columns, rows: np.ndarray[Any, Any] | slice) -> Columns:
    return {name: values[rows] for name, values in columns.items()}


def pad_lists(lists: pa.ChunkedArray) -> np.ndarray[Any, Any]:
    """Lists as a matrix [rows, longest]; missing cells hold 0, or None for text. A null list is an empty one."""
    array = lists.combine_chunks() if lists.num_chunks != 1 else lists.chunk(0)
    lengths = array.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
    width = max(int(lengths.max(initial=0)), 1)
    values = array.flatten()
    text = pa.types.is_string(values.type) or pa.types.is_large_string(values.type)
    padded = np.full((len(array), width), None, dtype=object) if text else np.zeros((len(array), width), np.int64)
    filled = np.arange(width) < lengths[:, None]
    padded[filled] = values.to_numpy(zero_copy_only=False)
    return padded


def _as_array(column: pa.ChunkedArray) -> np.ndarray[Any, Any]:
    kind = column.type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return pad_lists(column)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return np.asarray(column.cast(pa.float64()).to_numpy(), np.float64)
    return np.asarray(column.to_numpy(), object)


def _cell(kind: pa.DataType) -> Callable[[Any], np.ndarray[Any, Any]]:
    """From the value of one cell to a column of length 1."""
    if pa.types.is_list(kind):
        number = pa.types.is_integer(kind.value_type)
        dtype, nothing = (np.int64, [0]) if number else (object, [None])
        return lambda value: np.array([nothing if value is None or len(value) == 0 else value], dtype)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return lambda value: np.array([np.nan if value is None else value], np.float64)
    return lambda value: np.array([value], object)
