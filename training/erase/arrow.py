"""Rows of Arrow tables that belong to a person, and texts in them that name the person."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from training.erase.person import Person

USER_COLUMN = "user_id"


def worth_reading(schema: pa.Schema, person: Person) -> list[str]:
    """The columns that can name the person: those that hold users, or for a distinctive id every one with text."""
    return [
        field.name for field in schema if field.name == USER_COLUMN or (person.distinctive and _has_text(field.type))
    ]


def places_in_batch(table: pa.Table, person: Person) -> int:
    """How many texts of `table`, nested ones too, name the person."""
    places = 0
    for name in worth_reading(table.schema, person):
        for texts in (texts for chunk in table[name].chunks for texts in _texts(chunk)):
            named = _is_user(texts, person)
            if person.distinctive:
                named = pc.or_kleene(named, pc.match_substring(texts, person.user_id))
            places += pc.sum(named).as_py() or 0
    return places


def rewrite_without(path: Path, person: Person) -> int:
    """Take the person's rows out of a parquet file, one row group at a time; returns how many there were.

    A file without such rows is not touched, and a reader sees the old file or the new one. Every other row keeps its
    place and its values.
    """
    with pq.ParquetFile(path) as file:
        if USER_COLUMN not in file.schema_arrow.names:
            return 0
        groups = range(file.num_row_groups)
        mine = [_is_user(file.read_row_group(n, columns=[USER_COLUMN])[USER_COLUMN], person) for n in groups]
        removed = sum(pc.sum(rows).as_py() or 0 for rows in mine)
        if removed:
            partial = path.with_name(f".{path.name}.partial")
            with pq.ParquetWriter(partial, file.schema_arrow) as writer:
                for group in groups:
                    writer.write_table(file.read_row_group(group).filter(pc.invert(mine[group])))
            partial.replace(path)
    return int(removed)


def replace_parquet(table: pa.Table, path: Path) -> None:
    """Write `table` in the place of `path`: a reader sees the old file or the new one."""
    partial = path.with_name(f".{path.name}.partial")
    pq.write_table(table, partial)
    partial.replace(path)


def _is_user(texts: pa.Array | pa.ChunkedArray, person: Person) -> pa.Array | pa.ChunkedArray:
    return pc.is_in(texts.cast(pa.large_string()), pa.array(person.names, pa.large_string()))


def _has_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _has_text(kind.value_type)
    if pa.types.is_nested(kind):
        return any(_has_text(kind.field(place).type) for place in range(kind.num_fields))
    return _is_text(kind)


def _is_text(kind: pa.DataType) -> bool:
    tests = (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary)
    return any(test(kind) for test in tests)


def _texts(values: pa.Array) -> Iterator[pa.Array]:
    """The text arrays inside an array, however deep."""
    kind = values.type
    if _is_text(kind):
        yield values
    elif pa.types.is_dictionary(kind):
        yield from _texts(values.dictionary_decode())
    elif pa.types.is_map(kind):
        yield from _texts(values.keys)
        yield from _texts(values.items)
    elif pa.types.is_struct(kind):
        for place in range(kind.num_fields):
            yield from _texts(values.field(place))
    elif pa.types.is_nested(kind):
        yield from _texts(values.flatten())
