"""Read a CSV file line by line: its header, and, where the engine refuses the file, every row and every broken line.

Memory is bounded whatever the file holds: a line beyond MAX_LINE bytes is passed over in pieces, and a quote that is
never closed is looked after for MOST_LINES lines, then its first line alone is broken and reading goes on behind it.
"""

import csv
import gzip
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

import pyarrow as pa
import pyarrow.compute as pc

from feature_repo.core.errors import DatasetError

DELIMITERS = (",", "\t", ";", "|")
MAX_LINE = 1 << 20  # bytes of one row
MOST_LINES = 100  # physical lines of one row, where a quoted cell holds line ends
BATCH_ROWS = 20_000
KEPT_CHARACTERS = 1_000  # of a broken line


@dataclass(frozen=True)
class Header:
    names: list[str]
    delimiter: str


class Line(NamedTuple):
    """A physical line with its line end; `whole` is false for the beginning of one that is too long."""

    text: str
    whole: bool


def read_header(file: Path, wanted: Sequence[str]) -> Header:
    """The first line, cut by the delimiter that gives most of the `wanted` names, then most names.

    Raises:
        DatasetError: the first line is no line of UTF-8 text.
    """
    with _open(file) as stream:
        line = stream.readline(MAX_LINE + 1)
    try:
        text = line.decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise DatasetError(f"{file}: expected UTF-8 text; byte {error.start} of its first line is not") from None
    if not text.strip() or len(line) > MAX_LINE or "\r" in text:
        rule = f"expected a first line of column names, at most {MAX_LINE:,} bytes, that ends with LF or CRLF"
        raise DatasetError(f"{file}: {rule}; got {text[:40]!r}")
    headers = [Header(_cells(iter([text]), delimiter) or [text], delimiter) for delimiter in DELIMITERS]
    return max(headers, key=lambda header: (len(set(wanted) & set(header.names)), len(header.names)))


def read_lines(file: Path, *, delimiter: str, width: int, line: str) -> pa.RecordBatchReader:
    """Columns c0, c1, ... of text (an empty cell is null), and `line`: the text of a broken line, else null."""
    schema = pa.schema([*((f"c{n}", pa.string()) for n in range(width)), (line, pa.string())])
    return pa.RecordBatchReader.from_batches(schema, _batches(file, schema, delimiter, width))


def _batches(file: Path, schema: pa.Schema, delimiter: str, width: int) -> Iterator[pa.RecordBatch]:
    with _open(file) as stream:
        lines = physical_lines(stream)
        next(lines, None)  # the header
        found = rows(lines, delimiter=delimiter, width=width)
        while batch := list(islice(found, BATCH_ROWS)):
            blank: list[str] = [""] * width
            cells = zip(*(blank if isinstance(row, str) else row for row in batch), strict=True)
            broken = pa.array((row if isinstance(row, str) else None for row in batch), pa.string())
            yield pa.RecordBatch.from_arrays([*map(_empty_as_null, cells), broken], schema=schema)


def _empty_as_null(cells: Sequence[str]) -> pa.Array:
    column = pa.array(cells, pa.string())
    return pc.if_else(pc.equal(column, ""), pa.scalar(None, pa.string()), column)


def physical_lines(stream: BinaryIO) -> Iterator[Line]:
    """Lines without a byte order mark; bytes that are no UTF-8 become replacement characters."""
    encoding = "utf-8-sig"
    while line := stream.readline(MAX_LINE + 1):
        whole = end = line
        while not end.endswith(b"\n") and (end := stream.readline(MAX_LINE)):
            whole = b""
        kept = whole or line[:KEPT_CHARACTERS]
        yield Line(kept.decode(encoding, errors="replace"), whole=bool(whole))
        encoding = "utf-8"


def rows(lines: Iterator[Line], *, delimiter: str, width: int) -> Iterator[list[str] | str]:
    """A list of `width` cells for each row, and the text of each line that is none. Blank lines are no rows."""
    csv.field_size_limit(MAX_LINE)
    waiting: deque[Line] = deque()
    while first := waiting.popleft() if waiting else next(lines, None):
        text = first.text.rstrip("\r\n")
        if not text:
            continue
        pulled: list[Line] = []
        if not first.whole:
            cells = []
        elif '"' in text or "\r" in text:
            cells = _cells(_fed(first, lines, waiting, pulled), delimiter)
        else:
            cells = text.split(delimiter)
        if len(cells) == width + 1 and not cells[-1]:
            cells.pop()  # a delimiter at the end of a line, which the engine takes, too
        if len(cells) == width:
            yield cells
        else:
            waiting.extendleft(reversed(pulled))
            yield text[:KEPT_CHARACTERS]


def _fed(first: Line, lines: Iterator[Line], waiting: deque[Line], pulled: list[Line]) -> Iterator[str]:
    """`first`, and after it what the reader asks for while a quote is open; that goes to `pulled`."""
    yield first.text
    size = len(first.text)
    while len(pulled) < MOST_LINES and size <= MAX_LINE:
        more = waiting.popleft() if waiting else next(lines, None)
        if more is None:
            return
        pulled.append(more)
        if not more.whole:
            return
        size += len(more.text)
        yield more.text


def _cells(lines: Iterator[str], delimiter: str) -> list[str]:
    """The cells of the next row; none where the lines are no row."""
    try:
        return next(csv.reader(lines, delimiter=delimiter, strict=True))
    except csv.Error:
        return []


def _open(file: Path) -> BinaryIO:
    return cast(BinaryIO, gzip.open(file, "rb")) if file.suffix == ".gz" else file.open("rb")
