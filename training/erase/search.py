"""How many places of a file name a person. Compressed and encoded files are decoded, the bytes of every file are read.

Parquet and Arrow by column, SQLite by table, JSON by key; then the raw bytes, where free pages of a database and text
of any kind show. What cannot be read counts as a place: that nothing was seen in it proves nothing.
"""

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from training.erase.arrow import places_in_batch, worth_reading
from training.erase.online_key import online_key
from training.erase.person import Person

CHUNK = 1 << 20
USER_KEYS = frozenset({"user_id", "user_ids", "example_user"})


def places_in(path: Path, person: Person) -> int:
    """The places of one file; 0 where it is gone by now."""
    try:
        found = _structured(path)(path, person)
        return found or int(_holds_bytes(path, person.raw_forms))
    except FileNotFoundError:
        return 0
    except sqlite3.ProgrammingError:
        raise
    except (OSError, pa.ArrowException, sqlite3.DatabaseError, json.JSONDecodeError, UnicodeDecodeError):
        return 1


def places_below(roots: Iterable[Path], person: Person) -> dict[Path, int]:
    """The files under `roots` that name the person, with how often."""
    found = {path: places_in(path, person) for path in files_below(roots)}
    return {path: count for path, count in found.items() if count}


def files_below(roots: Iterable[Path]) -> list[Path]:
    """Every file, once, sorted; a folder that is a workspace of its own is another data set and is left out."""
    return sorted({path for root in roots for path in _walk(root)})


def _walk(root: Path) -> Iterator[Path]:
    if root.is_file():
        yield root
    elif root.is_dir():
        for path in root.iterdir():
            if path.is_file() or not (path / "data.lock").exists():
                yield from _walk(path)


def _structured(path: Path) -> Callable[[Path, Person], int]:
    """By what the file starts with, since a name may end in anything; JSON has no such mark."""
    with path.open("rb") as file:
        start = file.read(max(map(len, _BY_START)))
    for mark, search in _BY_START.items():
        if start.startswith(mark):
            return search
    return {".json": _in_json, ".jsonl": _in_json_lines}.get(path.suffix, _in_nothing)


def _in_nothing(_: Path, __: Person) -> int:
    return 0


def _in_parquet(path: Path, person: Person) -> int:
    with pq.ParquetFile(path) as file:
        columns = worth_reading(file.schema_arrow, person)
        groups = range(file.num_row_groups if columns else 0)
        return sum(places_in_batch(file.read_row_group(group, columns=columns), person) for group in groups)


def _in_arrow(path: Path, person: Person) -> int:
    with pa.memory_map(str(path)) as source, pa.ipc.open_file(source) as file:
        return places_in_batch(file.read_all(), person)


def _in_json(path: Path, person: Person) -> int:
    return places_in_value(json.loads(path.read_text(encoding="utf-8")), person)


def _in_json_lines(path: Path, person: Person) -> int:
    lines = path.read_text(encoding="utf-8").splitlines()
    return sum(places_in_value(json.loads(line), person) for line in lines if line.strip())


def places_in_value(value: Any, person: Person, *, holds_users: bool = False) -> int:
    """The places of a JSON value. Under a key that holds users every text counts that is the person's id."""
    if isinstance(value, dict):
        names = sum(person.is_named_in(key) for key in value)
        return names + sum(places_in_value(v, person, holds_users=key in USER_KEYS) for key, v in value.items())
    if isinstance(value, list):
        return sum(places_in_value(v, person, holds_users=holds_users) for v in value)
    return int(person.is_named_in(value) or (holds_users and person.is_user(value)))


def _in_sqlite(path: Path, person: Person) -> int:
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=30)) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        return sum(_in_sqlite_table(connection, table, person) for (table,) in tables)


def _in_sqlite_table(connection: sqlite3.Connection, table: str, person: Person) -> int:
    tests: list[str] = []
    sought: list[bytes] = []
    for _, column, *_ in connection.execute(f"SELECT * FROM pragma_table_info({_quoted(table, chr(39))})"):
        name = _quoted(column, '"')
        if column == "entity_key":
            tests.append(f"CAST({name} AS BLOB) = ?")
            sought.append(online_key(person.user_id))
        elif person.distinctive or column in USER_KEYS:
            tests.append(f"instr(CAST({name} AS BLOB), ?)" if person.distinctive else f"CAST({name} AS BLOB) = ?")
            sought.append(person.user_id.encode())
    if not tests:
        return 0
    places = " + ".join(f"coalesce(({test}) > 0, 0)" for test in tests)
    statement = f"SELECT coalesce(sum({places}), 0) FROM {_quoted(table, chr(34))}"
    return int(connection.execute(statement, sought).fetchone()[0])


def _quoted(name: str, mark: str) -> str:
    return mark + name.replace(mark, mark * 2) + mark


def _holds_bytes(path: Path, forms: tuple[bytes, ...]) -> bool:
    if not forms:
        return False
    overlap = max(map(len, forms)) - 1
    with path.open("rb") as file:
        tail = b""
        while chunk := file.read(CHUNK):
            text = tail + chunk
            if any(form in text for form in forms):
                return True
            tail = text[-overlap:] if overlap else b""
    return False


_BY_START: dict[bytes, Callable[[Path, Person], int]] = {
    b"SQLite format 3\x00": _in_sqlite,
    b"PAR1": _in_parquet,
    b"ARROW1": _in_arrow,
}
