"""Read a team's tables with DuckDB and rename their columns; nothing is judged here."""

from collections.abc import Iterable
from pathlib import Path

import duckdb

from feature_repo.core.errors import DatasetError
from feature_repo.dataset.declaration import Dataset, EntityTable

EPOCH_MILLISECONDS_FROM = 1e11  # in seconds this would be the year 5138
EPOCH_MICROSECONDS_FROM = 1e14


def connect() -> duckdb.DuckDBPyConnection:
    """A DuckDB connection whose naive timestamps mean UTC."""
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def read_raw_events(connection: duckdb.DuckDBPyConnection, dataset: Dataset) -> duckdb.DuckDBPyRelation:
    """The event table with the unified names: ids and event type as text, `timestamp` UTC or null.

    `raw_timestamp` keeps what the file said. `value`, `request_id`, `position` and `consent` are null where not mapped.
    """
    events = dataset.events
    path = _resolve(dataset, events.path)
    table = _open(connection, path)
    for name in (*events.columns.values(), *events.context):
        _require_column(table, name, path)
    source = events.columns
    kind = _quote(source["event_type"]) if "event_type" in source else _literal(events.event_type or "")
    timestamp = _timestamp(table, source["timestamp"])
    selected = [
        f"{_optional(source.get('event_id'), 'VARCHAR')} AS event_id",
        f"CAST({_quote(source['user_id'])} AS VARCHAR) AS user_id",
        f"CAST({_quote(source['item_id'])} AS VARCHAR) AS item_id",
        f"CAST({_quote(source['timestamp'])} AS VARCHAR) AS raw_timestamp",
        f"{timestamp} AS timestamp",
        f"CAST({kind} AS VARCHAR) AS event_type",
        *(
            f"{_optional(source.get(name), kind)} AS {name}"
            for name, kind in (
                ("value", "DOUBLE"),
                ("request_id", "VARCHAR"),
                ("position", "INTEGER"),
                ("consent", "BOOLEAN"),
            )
        ),
        *(f"CAST({_quote(name)} AS VARCHAR) AS {name}" for name in events.context),
    ]
    return table.project(", ".join(selected))


def read_entities(
    connection: duckdb.DuckDBPyConnection, dataset: Dataset, declared: EntityTable, key: str
) -> duckdb.DuckDBPyRelation:
    """The users or items table as `key`, its declared attributes, and `valid_from` (null where not declared)."""
    path = _resolve(dataset, declared.path)
    table = _open(connection, path)
    for name in (declared.key, *(declared.column(a) for a in declared.attributes)):
        _require_column(table, name, path)
    if declared.valid_from:
        _require_column(table, declared.valid_from, path)
    valid_from = _timestamp(table, declared.valid_from) if declared.valid_from else "CAST(NULL AS TIMESTAMPTZ)"
    text = (*declared.categorical, *declared.text)
    selected = [
        f"CAST({_quote(declared.key)} AS VARCHAR) AS {key}",
        *(f"nullif(trim(CAST({_quote(declared.column(a))} AS VARCHAR)), '') AS {a}" for a in text),
        *(f"{_number(declared.column(a))} AS {a}" for a in declared.numeric),
        *(f"{_values(table, declared, a)} AS {a}" for a in declared.multi),
        f"{valid_from} AS valid_from",
    ]
    return table.project(", ".join(selected)).filter(f"{key} IS NOT NULL AND {key} <> ''")


def source_files(dataset: Dataset) -> list[Path]:
    """Every file that the declaration names, sorted; a missing one is an error."""
    paths = [dataset.events.path, *(t.path for t in (dataset.users, dataset.items) if t)]
    return sorted({file for path in paths for file in _files(_resolve(dataset, path))})


def _resolve(dataset: Dataset, path: str) -> Path:
    return dataset.base / path


def _files(path: Path) -> Iterable[Path]:
    found = sorted(path.parent.glob(path.name)) if "*" in path.name else [path]
    if not found or not all(file.is_file() for file in found):
        raise DatasetError(f"{path}: expected a parquet or csv file, or a glob that matches some; found none")
    return found


def _open(connection: duckdb.DuckDBPyConnection, path: Path) -> duckdb.DuckDBPyRelation:
    files = [str(file) for file in _files(path)]
    try:
        if path.suffix == ".parquet":
            table = connection.read_parquet(files)
        else:
            table = connection.sql(
                "SELECT * FROM read_csv($files, all_varchar = true, header = true)", params={"files": files}
            )
        empty = not table.limit(1).fetchall()
    except duckdb.Error as error:
        raise DatasetError(f"{path}: cannot be read as a table; {str(error).splitlines()[0]}") from None
    if empty:
        raise DatasetError(f"{path}: expected at least one row; the table is empty")
    return table


def _require_column(table: duckdb.DuckDBPyRelation, name: str, path: Path) -> None:
    if name not in table.columns:
        raise DatasetError(
            f"{path}: column {name!r} is declared and not there; the table has {', '.join(table.columns)}"
        )


def _type(table: duckdb.DuckDBPyRelation, name: str) -> str:
    return str(table.types[table.columns.index(name)])


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _optional(name: str | None, kind: str) -> str:
    return f"TRY_CAST({_quote(name)} AS {kind})" if name else f"CAST(NULL AS {kind})"


def _number(name: str) -> str:
    number = f"TRY_CAST({_quote(name)} AS DOUBLE)"
    return f"CASE WHEN isfinite({number}) THEN {number} END"


def _values(table: duckdb.DuckDBPyRelation, declared: EntityTable, attribute: str) -> str:
    name = declared.column(attribute)
    if _type(table, name).endswith("[]"):
        return f"coalesce(CAST({_quote(name)} AS VARCHAR[]), [])"
    parts = f"string_split(coalesce(CAST({_quote(name)} AS VARCHAR), ''), {_literal(declared.separator)})"
    return f"list_distinct(list_filter(list_transform({parts}, lambda x: trim(x)), lambda x: x <> ''))"


def _timestamp(table: duckdb.DuckDBPyRelation, name: str) -> str:
    column = _quote(name)
    if _type(table, name).startswith(("TIMESTAMP", "DATE")):
        return f"CAST({column} AS TIMESTAMPTZ)"
    number = f"TRY_CAST({column} AS DOUBLE)"
    microseconds = (
        f"CASE WHEN abs({number}) >= {EPOCH_MICROSECONDS_FROM} THEN {number} "
        f"WHEN abs({number}) >= {EPOCH_MILLISECONDS_FROM} THEN {number} * 1e3 ELSE {number} * 1e6 END"
    )
    from_number = f"make_timestamptz(TRY_CAST(round({microseconds}) AS BIGINT))"
    text = f"TRY_CAST(CAST({column} AS VARCHAR) AS TIMESTAMPTZ)"
    return f"CASE WHEN {number} IS NOT NULL AND isfinite({number}) THEN {from_number} ELSE {text} END"
