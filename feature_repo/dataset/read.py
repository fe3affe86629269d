"""Read a team's tables with DuckDB and give their columns the unified names; nothing is judged here."""

from collections.abc import Sequence
from pathlib import Path

import duckdb

from feature_repo.core.errors import DatasetError
from feature_repo.dataset.declaration import Dataset, EntityTable
from feature_repo.dataset.erased import refuse_erased
from feature_repo.dataset.received import select_received
from feature_repo.dataset.rules import key_rules
from feature_repo.dataset.sql import (
    Column,
    finite_number,
    identity,
    literal,
    text,
    timestamp,
    values,
)
from feature_repo.dataset.tables import Columns, files_of, load
from feature_repo.dataset.tombstone import NOBODY, Tombstones

RAW_EVENTS = "raw_events"
# Optional columns whose text may be no value of their type.
TYPED = {"value": "DOUBLE", "position": "INTEGER", "consent": "BOOLEAN"}


def connect() -> duckdb.DuckDBPyConnection:
    """A DuckDB connection whose naive timestamps mean UTC."""
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def read_raw_events(
    connection: duckdb.DuckDBPyConnection, dataset: Dataset, received: Sequence[Path] = ()
) -> duckdb.DuckDBPyRelation:
    """The event table with the unified names: ids and event type as text, `timestamp` UTC or null.

    `raw_timestamp` and `raw_value` keep what a text said, `_unreadable` the first typed column whose text is no value,
    `_line` a line of a CSV file that is no row, `_file` where the row stood. Optional columns are null where they are
    not mapped. `received` are files of events that arrived over HTTP.
    """
    events = dataset.events
    path = dataset.base / events.path

    def project(columns: Columns) -> list[str]:
        return _event_columns(dataset, columns, path)

    load(connection, path, project, wanted=(*events.columns.values(), *events.context), into=RAW_EVENTS)
    if received:
        try:
            query = select_received(received, context=events.context)
            connection.execute(f"INSERT INTO {RAW_EVENTS} BY NAME {query}")
        except duckdb.Error as error:
            folder, problem = received[0].parent, str(error).splitlines()[0]
            raise DatasetError(f"{folder}: received events cannot be read; {problem}") from None
    return connection.table(RAW_EVENTS)


def _event_columns(dataset: Dataset, columns: Columns, path: Path) -> list[str]:
    source = {unified: columns[name] for unified, name in dataset.events.columns.items()}
    context = {name: columns[name] for name in dataset.events.context}
    for name, column in (source | context).items():
        _refuse_nested(column, name, path)
    at = source["timestamp"]
    constant = Column(literal(dataset.events.event_type or ""), "VARCHAR")
    return [
        f"{identity(source['event_id']) if 'event_id' in source else 'CAST(NULL AS VARCHAR)'} AS event_id",
        f"{identity(source['user_id'])} AS user_id",
        f"{identity(source['item_id'])} AS item_id",
        # What is a moment already needs no text of its own: it can be written down again.
        f"{f'CASE WHEN {timestamp(at)} IS NULL THEN {text(at)} END' if at.is_moment else text(at)} AS raw_timestamp",
        f"{timestamp(at)} AS timestamp",
        f"{text(source.get('event_type', constant))} AS event_type",
        f"{_raw(source.get('value'))} AS raw_value",
        *(f"{_typed(source.get(name), kind)} AS {name}" for name, kind in TYPED.items()),
        f"{identity(source['request_id']) if 'request_id' in source else 'CAST(NULL AS VARCHAR)'} AS request_id",
        f"{_unreadable(source)} AS _unreadable",
        *(f"{text(column)} AS {name}" for name, column in context.items()),
    ]


def _refuse_nested(column: Column, name: str, path: Path) -> None:
    if column.is_nested:
        raise DatasetError(f"{path}: {name} holds text, numbers or times; its column is of type {column.kind:.80}")


def _raw(column: Column | None) -> str:
    """The text of a value that came as text; a number can be written down again."""
    return column.sql if column and column.kind == "VARCHAR" else "CAST(NULL AS VARCHAR)"


def _typed(column: Column | None, kind: str) -> str:
    return f"TRY_CAST({column.sql} AS {kind})" if column else f"CAST(NULL AS {kind})"


def _unreadable(source: dict[str, Column]) -> str:
    rules = [
        f"WHEN {_typed(source[name], kind)} IS NULL AND trim({text(source[name])}) <> '' THEN '{name}'"
        for name, kind in TYPED.items()
        if name in source
    ]
    return f"CASE {' '.join(rules)} END" if rules else "CAST(NULL AS VARCHAR)"


def read_entities(
    connection: duckdb.DuckDBPyConnection,
    dataset: Dataset,
    declared: EntityTable,
    key: str,
    erased: Tombstones = NOBODY,
) -> duckdb.DuckDBPyRelation:
    """The users or items table as `key`, its declared attributes, and `valid_from` (null where not declared).

    `recorded` only where declared; without a declared `valid_from` it is that too. Rows whose key is no id, and those
    of erased users, are left out; `refused_entities` counts them.
    """
    path = dataset.base / declared.path
    since = declared.valid_from or declared.recorded
    dates = filter(None, (declared.valid_from, declared.recorded))

    def project(columns: Columns) -> list[str]:
        _refuse_nested(columns[declared.key], declared.key, path)
        of = {attribute: columns[declared.column(attribute)] for attribute in declared.attributes}
        selected = [
            f"{identity(columns[declared.key])} AS {key}",
            *(f"nullif(trim({text(of[a])}), '') AS {a}" for a in (*declared.categorical, *declared.text)),
            *(f"{finite_number(of[a])} AS {a}" for a in declared.numeric),
            *(f"{values(of[a], declared.separator)} AS {a}" for a in declared.multi),
            f"{timestamp(columns[since]) if since else 'CAST(NULL AS TIMESTAMPTZ)'} AS valid_from",
        ]
        return selected + ([f"{timestamp(columns[declared.recorded])} AS recorded"] if declared.recorded else [])

    wanted = (declared.key, *(declared.column(a) for a in declared.attributes), *dates)
    load(connection, path, project, wanted=wanted, into=_entities(key))
    connection.execute(f"ALTER TABLE {_entities(key)} ADD COLUMN _reason VARCHAR")
    for reason, rule in key_rules(key, dataset.cleaning):
        connection.execute(f"UPDATE {_entities(key)} SET _reason = '{reason}' WHERE _reason IS NULL AND ({rule})")
    if key == "user_id":
        refuse_erased(connection, _entities(key), erased, reason="_reason")
    names = [key, *declared.attributes, "valid_from", *(["recorded"] if declared.recorded else [])]
    return connection.table(_entities(key)).filter("_reason IS NULL").project(", ".join(names))


def refused_entities(connection: duckdb.DuckDBPyConnection, key: str) -> dict[str, int]:
    """How many rows of the table that `read_entities` read last were left out, by reason."""
    counted = f"SELECT _reason, count(*) FROM {_entities(key)} WHERE _reason IS NOT NULL GROUP BY 1 ORDER BY 1"
    return dict(connection.execute(counted).fetchall())


def _entities(key: str) -> str:
    return f"raw_{key.removesuffix('_id')}s"


def source_files(dataset: Dataset) -> list[Path]:
    """Every file that the declaration names, sorted; a missing one is an error."""
    paths = [dataset.events.path, *(t.path for t in (dataset.users, dataset.items) if t)]
    return sorted({file for path in paths for file in files_of(dataset.base / path)})
