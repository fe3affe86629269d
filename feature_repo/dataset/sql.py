"""Cells as SQL: how a column of a team's table becomes an id, a number, a moment or a list. Nothing raises on a row."""

from dataclasses import dataclass

EPOCH_MILLISECONDS_FROM = 1e11  # in seconds this would be the year 5138
EPOCH_MICROSECONDS_FROM = 1e14
EPOCH_MICROSECONDS_TO = 1e18  # the year 33658; beyond it DuckDB has no timestamp
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"  # stands where bytes were no UTF-8


@dataclass(frozen=True)
class Column:
    """A column of a team's table: how SQL names it, and its DuckDB type."""

    sql: str
    kind: str

    @property
    def is_nested(self) -> bool:
        return self.kind.endswith("]") or self.kind.startswith(("STRUCT", "MAP", "UNION"))

    @property
    def is_moment(self) -> bool:
        return self.kind.startswith(("TIMESTAMP", "DATE"))


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def text(column: Column) -> str:
    """The cell as text; bytes that are no UTF-8 become text that the rule for ids refuses."""
    if column.kind == "BLOB":
        return f"coalesce(TRY(decode({column.sql})), {literal(REPLACEMENT)} || hex({column.sql}))"
    return f"CAST({column.sql} AS VARCHAR)"


def identity(column: Column) -> str:
    """An id as text. A whole number is the same id in a column of integers and in one of floats with gaps."""
    if column.kind not in ("FLOAT", "DOUBLE"):
        return text(column)
    whole = f"CAST(TRY_CAST({column.sql} AS HUGEINT) AS VARCHAR)"
    is_whole = f"{column.sql} = floor({column.sql})"
    return f"CASE WHEN isfinite({column.sql}) THEN CASE WHEN {is_whole} THEN {whole} ELSE {text(column)} END END"


def number(column: Column) -> str:
    return f"TRY_CAST({column.sql} AS DOUBLE)"


def finite_number(column: Column) -> str:
    return f"CASE WHEN isfinite({number(column)}) THEN {number(column)} END"


def values(column: Column, separator: str) -> str:
    """A list of texts: a list as it is, a text cut at `separator`."""
    if column.kind.endswith("[]"):
        return f"coalesce(CAST({column.sql} AS VARCHAR[]), [])"
    parts = f"string_split(coalesce({text(column)}, ''), {literal(separator)})"
    return f"list_distinct(list_filter(list_transform({parts}, lambda x: trim(x)), lambda x: x <> ''))"


def timestamp(column: Column) -> str:
    """A moment in UTC microseconds, null where it cannot be read: ISO 8601, or epoch seconds, milliseconds or
    microseconds; which of them is told from the size."""
    if column.is_moment:
        return f"TRY_CAST({column.sql} AS TIMESTAMPTZ)"
    found = number(column)
    microseconds = (
        f"CASE WHEN abs({found}) >= {EPOCH_MICROSECONDS_FROM} THEN {found} "
        f"WHEN abs({found}) >= {EPOCH_MILLISECONDS_FROM} THEN {found} * 1e3 ELSE {found} * 1e6 END"
    )
    from_number = (
        f"CASE WHEN abs({microseconds}) < {EPOCH_MICROSECONDS_TO} "
        f"THEN make_timestamptz(TRY_CAST(round({microseconds}) AS BIGINT)) END"
    )
    from_text = f"TRY_CAST(trim({text(column)}) AS TIMESTAMPTZ)"
    return f"CASE WHEN {found} IS NOT NULL THEN {from_number} ELSE {from_text} END"
