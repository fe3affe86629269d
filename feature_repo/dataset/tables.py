"""Load a team's parquet or CSV files into one table, at the engine's speed where they are in order.

Every file is read by the names in its own header, so files of one glob may differ in order and types of their columns.
A file that the engine refuses for one bad line or byte is read again with care: nothing is passed over without a trace.
"""

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa

from feature_repo.core.errors import DatasetError
from feature_repo.dataset.csv_lines import MAX_LINE, read_header, read_lines
from feature_repo.dataset.parquet_batches import read_batches, read_names
from feature_repo.dataset.sql import Column, literal, quoted

# Columns of a loaded table beside the projected ones; no declared name starts with an underscore.
FILE, LINE = "_file", "_line"
_SHOWN_NAMES, _SHOWN_CHARACTERS = 20, 40

Columns = Mapping[str, Column]
Projection = Callable[[Columns], Sequence[str]]


@dataclass(frozen=True)
class _File:
    """`source` is what DuckDB reads; `carefully` gives the same columns and `line` where it cannot."""

    path: Path
    source: str
    columns: Columns
    carefully: Callable[[], pa.RecordBatchReader]


def load(
    connection: duckdb.DuckDBPyConnection, path: Path, project: Projection, *, wanted: Sequence[str], into: str
) -> None:
    """Make the temporary table `into`: what `project` selects, FILE, and LINE (a line that is no row, else null).

    Raises:
        DatasetError: a file is missing, is no table, lacks a column of `wanted`, or there is no row.
    """
    connection.execute(f"DROP TABLE IF EXISTS {into}")
    for path_of_file in files_of(path):
        try:
            file = _opened(connection, path_of_file, wanted)
            _append(connection, file, project, into)
        except (duckdb.Error, pa.ArrowException, OSError, EOFError, zlib.error) as error:
            raise DatasetError(f"{path_of_file}: cannot be read as a table; {_first_line(error)}") from None
    if not connection.execute(f"SELECT 1 FROM {into} LIMIT 1").fetchall():
        raise DatasetError(f"{path}: expected at least one row; the table is empty")


def files_of(path: Path) -> list[Path]:
    """The file at `path`, or those that its glob matches, sorted."""
    found = sorted(path.parent.glob(path.name)) if "*" in path.name else [path]
    if not found or not all(file.is_file() for file in found):
        raise DatasetError(f"{path}: expected a parquet or csv file, or a glob that matches some; found none")
    return found


def _append(connection: duckdb.DuckDBPyConnection, file: _File, project: Projection, into: str) -> None:
    selected = f"SELECT {', '.join(project(file.columns))}, {literal(str(file.path))} AS {FILE}"
    query = f"{selected}, CAST(NULL AS VARCHAR) AS {LINE} FROM {file.source}"
    connection.execute(f"CREATE TEMP TABLE IF NOT EXISTS {into} AS SELECT * FROM ({query}) LIMIT 0")
    try:
        connection.execute(f"INSERT INTO {into} BY NAME {query}")
    except duckdb.Error:
        # A refused statement has inserted nothing.
        connection.register("careful", file.carefully())
        connection.execute(f"INSERT INTO {into} BY NAME {selected}, {LINE} FROM careful")
        connection.unregister("careful")


def _opened(connection: duckdb.DuckDBPyConnection, path: Path, wanted: Sequence[str]) -> _File:
    return _parquet(connection, path, wanted) if path.suffix == ".parquet" else _csv(path, wanted)


def _parquet(connection: duckdb.DuckDBPyConnection, path: Path, wanted: Sequence[str]) -> _File:
    names = read_names(path)
    _require(names, wanted, path)
    source = f"read_parquet({literal(str(path))}, hive_partitioning = false)"
    table = connection.sql(f"FROM {source}")
    columns = [Column(quoted(name), str(kind)) for name, kind in zip(table.columns, table.types, strict=True)]
    return _File(
        path,
        source,
        dict(zip(names, columns, strict=True)),
        lambda: read_batches(path, names=table.columns, line=LINE),
    )


def _csv(path: Path, wanted: Sequence[str]) -> _File:
    header = read_header(path, wanted)
    _require(header.names, wanted, path)
    width = len(header.names)
    # Nothing is left for DuckDB to guess: what it guesses from a sample may pass over lines of the rest.
    types = ", ".join(f"'c{n}': 'VARCHAR'" for n in range(width))
    source = (
        f"read_csv({literal(str(path))}, auto_detect = false, columns = {{{types}}}, header = true, skip = 0, "
        f"delim = {literal(header.delimiter)}, quote = '\"', escape = '\"', comment = '', strict_mode = true, "
        f"null_padding = false, max_line_size = {MAX_LINE}, encoding = 'utf-8', hive_partitioning = false)"
    )
    columns = {name: Column(f"c{n}", "VARCHAR") for n, name in enumerate(header.names)}
    return _File(path, source, columns, lambda: read_lines(path, delimiter=header.delimiter, width=width, line=LINE))


def _require(names: Sequence[str], wanted: Sequence[str], path: Path) -> None:
    for name in wanted:
        if name not in names:
            shown = ", ".join(n[:_SHOWN_CHARACTERS] for n in names[:_SHOWN_NAMES])
            raise DatasetError(f"{path}: column {name!r} is declared and not there; the table has {shown}")
        if names.count(name) > 1:
            raise DatasetError(f"{path}: column {name!r} is declared once and there {names.count(name)} times")


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]
