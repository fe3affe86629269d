import io
from pathlib import Path

import duckdb
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from feature_repo.core.errors import DatasetError
from feature_repo.dataset import csv_lines
from feature_repo.dataset.csv_lines import physical_lines, read_header, read_lines, rows
from feature_repo.dataset.tables import load


def parsed(text: str | bytes, width: int = 3) -> list[list[str] | str]:
    content = text.encode() if isinstance(text, str) else text
    return list(rows(physical_lines(io.BytesIO(content)), delimiter=",", width=width))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("1,2,3\n4,5,6", [["1", "2", "3"], ["4", "5", "6"]]),
        ("1,2,3\r\n4,5,6\r\n", [["1", "2", "3"], ["4", "5", "6"]]),
        ("1,2,3,\n", [["1", "2", "3"]]),
        ("\n\r\n1,2,3\n\n", [["1", "2", "3"]]),
        ('1,"2 ""x"" \n y, z",3\n', [["1", '2 "x" \n y, z', "3"]]),
        ('1,5" pipe,3\n', [["1", '5" pipe', "3"]]),
        ("1,2\n4,5,6\n", ["1,2", ["4", "5", "6"]]),
        ("1,2,3,4\n4,5,6\n", ["1,2,3,4", ["4", "5", "6"]]),
        ('1,"2" x,3\n4,5,6\n', ['1,"2" x,3', ["4", "5", "6"]]),
        ('1,"2,3\n4,5,6\n', ['1,"2,3', ["4", "5", "6"]]),
        ('1,"2,3\n4,"5,6\n7,8,9\n', ['1,"2,3', '4,"5,6', ["7", "8", "9"]]),
        ("1,2\x00,3\n", [["1", "2\x00", "3"]]),
        (b"1,\xff,3\n4,5,6\n", [["1", "\ufffd", "3"], ["4", "5", "6"]]),
        ("  \n", ["  "]),
    ],
)
def test_what_is_a_row_becomes_one_and_every_other_line_is_kept(
    text: str | bytes, found: list[list[str] | str]
) -> None:
    assert parsed(text) == found


def test_a_line_that_is_too_long_is_one_broken_line_and_never_held_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_lines, "MAX_LINE", 100)

    found = parsed("1,2,3\n" + "x" * 5_000 + "\n4,5,6\n" + "y" * 300)

    assert found == [["1", "2", "3"], "x" * 101, ["4", "5", "6"], "y" * 101]


def test_an_open_quote_before_a_line_that_is_too_long_takes_nothing_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_lines, "MAX_LINE", 100)

    found = parsed('1,"2,3\n' + "x" * 300 + "\n4,5,6\n")

    assert found == ['1,"2,3', "x" * 101, ["4", "5", "6"]]


def test_an_open_quote_is_followed_for_a_hundred_lines_and_no_more() -> None:
    tail = "7,8,9\n" * 300

    found = parsed('1,"2,3\n' + tail)

    assert found == ['1,"2,3', *[["7", "8", "9"]] * 300]


@pytest.mark.parametrize(
    ("first", "names", "delimiter"),
    [
        (b"a,b,c\n", ["a", "b", "c"], ","),
        (b"\xef\xbb\xbfa;b;c\r\n", ["a", "b", "c"], ";"),
        (b"a\tb,x\tc\n", ["a", "b,x", "c"], "\t"),
        (b'"a"|"b b"|c', ["a", "b b", "c"], "|"),
    ],
)
def test_the_delimiter_is_the_one_that_gives_the_declared_names(
    tmp_path: Path, first: bytes, names: list[str], delimiter: str
) -> None:
    (tmp_path / "log.csv").write_bytes(first)

    header = read_header(tmp_path / "log.csv", ["a", "c"])

    assert (header.names, header.delimiter) == (names, delimiter)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", r"expected a first line of column names.*got ''$"),
        (b"\n1,2\n", r"expected a first line of column names.*got ''$"),
        (b"a,b\rc,d\r", r".*ends with LF or CRLF; got 'a,b"),
        (b"\x89PNG\r\n", r"expected UTF-8 text; byte 0 of its first line is not"),
    ],
)
def test_a_file_without_a_line_of_names_is_no_table(tmp_path: Path, content: bytes, sentence: str) -> None:
    (tmp_path / "log.csv").write_bytes(content)

    with pytest.raises(DatasetError, match=rf"log\.csv: {sentence}"):
        read_header(tmp_path / "log.csv", ["a"])


cells = st.text(st.sampled_from("ab1, \"\n'😀;#\\"), max_size=6)


@settings(max_examples=25, deadline=None)
@given(table=st.lists(st.tuples(cells, cells, cells), min_size=1, max_size=8))
@example(table=[("#", "\\", '"')])
def test_the_engine_and_the_careful_reader_read_the_same_from_a_file_in_order(
    tmp_path_factory: pytest.TempPathFactory, table: list[tuple[str, str, str]]
) -> None:
    file = tmp_path_factory.mktemp("csv") / "log.csv"
    quoted = (",".join('"' + cell.replace('"', '""') + '"' for cell in row) for row in table)
    file.write_text("a,b,c\n" + "".join(f"{row}\n" for row in quoted), encoding="utf-8", newline="")
    connection = duckdb.connect()

    load(connection, file, lambda columns: [columns[n].sql for n in "abc"], wanted=["a", "b", "c"], into="found")
    by_load = connection.execute("SELECT * EXCLUDE (_file) FROM found").fetchall()
    careful = read_lines(file, delimiter=",", width=3, line="_line").read_all().to_pylist()

    expected = [(*(cell or None for cell in row), None) for row in table]
    assert by_load == expected
    assert [tuple(row.values()) for row in careful] == expected
