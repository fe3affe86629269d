import gzip
import random
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from door import HEADER, cleaned, declared, through_the_door
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_repo.core.errors import DatasetError
from feature_repo.dataset.csv_lines import MAX_LINE
from feature_repo.dataset.rules import BROKEN_LINE

GOOD = "ann,a,2026-01-02,view,1\n"
AT = pa.array(["2026-01-02"] * 2)
REST = {"at": AT, "kind": pa.array(["view"] * 2), "amount": pa.array([1.0, 2.0])}


@pytest.mark.parametrize("name", ["events.csv", "events.parquet", "events.csv.gz"])
def test_a_file_of_garbage_is_one_sentence(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(random.Random(1).randbytes(50_000))

    with pytest.raises(DatasetError, match=rf"{name}: (cannot be read as a table; |expected UTF-8 text)") as caught:
        through_the_door(declared(tmp_path, path=name))

    assert "\n" not in str(caught.value)


def test_readable_nonsense_is_one_short_sentence(tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_text(",".join("z" * 500 for _ in range(400)) + "\n")

    with pytest.raises(DatasetError, match=r"column '.*' is declared and not there") as caught:
        through_the_door(declared(tmp_path))

    assert len(str(caught.value)) < 1_500


def test_a_parquet_file_that_was_cut_off_or_damaged_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "events.parquet"
    users = pa.array([f"user {n}" for n in range(5_000)])
    rest = {"item": users, "at": pa.array(["2026-01-02"] * 5_000), "kind": users, "amount": pa.nulls(5_000)}
    pq.write_table(pa.table({"user": users, **rest}), path)
    whole = path.read_bytes()

    for content in (whole[:-20], whole[:400] + bytes(400) + whole[800:]):
        path.write_bytes(content)
        with pytest.raises(DatasetError, match=r"events\.parquet: cannot be read as a table; "):
            through_the_door(declared(tmp_path, path="events.parquet"))


def test_lines_with_too_few_or_too_many_cells_are_counted_and_kept(tmp_path: Path) -> None:
    result = cleaned(tmp_path, f"{GOOD}ann,b\nann,c,2026-01-02,view,1,2,3\n{GOOD.replace(',a,', ',d,')}")

    assert (result.read, result.events.num_rows, result.refused) == (4, 2, {BROKEN_LINE: 2})
    assert sorted(result.quarantine["raw_line"].to_pylist()) == ["ann,b", "ann,c,2026-01-02,view,1,2,3"]


def test_a_line_of_megabytes_is_one_broken_line(tmp_path: Path) -> None:
    result = cleaned(tmp_path, f"{GOOD}ann,{'x' * 3 * MAX_LINE},2026-01-02,view,1\nbob,b,2026-01-02,view,1\n")

    assert (result.read, result.refused) == (3, {BROKEN_LINE: 1})
    assert result.events["user_id"].to_pylist() == ["ann", "bob"]
    assert len(result.quarantine["raw_line"][0].as_py()) == 1_000


def test_bytes_that_are_no_utf_8_cost_their_own_row_and_no_other(tmp_path: Path) -> None:
    result = cleaned(tmp_path, (HEADER + GOOD).encode() + b"\xff\xfe,b,2026-01-02,view,1\nbob,c,2026-01-02,view,1\n")

    assert (result.read, result.refused) == (3, {"user_id is malformed": 1})


def test_text_in_parquet_that_is_no_utf_8_costs_its_own_row_and_no_other(tmp_path: Path) -> None:
    raw = pa.array([b"ann", b"\xff\xfe"], pa.binary())
    users = pa.Array.from_buffers(pa.string(), 2, raw.buffers())
    for column in (users, raw):
        pq.write_table(pa.table({"user": column, "item": ["a", "b"], **REST}), tmp_path / "events.parquet")

        result = through_the_door(declared(tmp_path, path="events.parquet"))

        assert (result.read, result.refused) == (2, {"user_id is malformed": 1})
        assert result.events["user_id"].to_pylist() == ["ann"]


def test_a_byte_order_mark_crlf_quoted_line_ends_and_gzip_are_no_trouble(tmp_path: Path) -> None:
    text = (HEADER + 'ann,"a",2026-01-02,view,1\nbob,"b\nb",2026-01-02,view,\n').replace("\n", "\r\n")
    (tmp_path / "events.csv.gz").write_bytes(gzip.compress(b"\xef\xbb\xbf" + text.encode()))

    result = through_the_door(declared(tmp_path, path="events.csv.gz"))

    assert (result.read, result.refused) == (2, {"item_id is malformed": 1})
    assert result.events["user_id"].to_pylist() == ["ann"]


def test_a_nested_type_where_a_cell_belongs_is_one_sentence(tmp_path: Path) -> None:
    for users in (pa.array([["ann"], ["bob"]]), pa.array([{"id": 1}, {"id": 2}])):
        pq.write_table(pa.table({"user": users, "item": ["a", "b"], **REST}), tmp_path / "events.parquet")

        with pytest.raises(DatasetError, match=r"user_id holds text, numbers or times; its column is of type "):
            through_the_door(declared(tmp_path, path="events.parquet"))


def test_files_of_one_glob_may_differ_in_types_and_in_the_order_of_columns(tmp_path: Path) -> None:
    pq.write_table(pa.table({"user": [1, 2], "item": ["a", "b"], **REST}), tmp_path / "log-1.parquet")
    other = {**REST, "item": pa.array([3, 4]), "user": pa.array(["1", "x"]), "amount": pa.array(["1.5", "much"])}
    pq.write_table(pa.table(other), tmp_path / "log-2.parquet")

    result = through_the_door(declared(tmp_path, path="log-*.parquet"))

    assert Counter(result.events["user_id"].to_pylist()) == {"1": 2, "2": 1}
    assert result.refused == {"value is not a number": 1}
    assert result.quarantine["raw_value"].to_pylist() == ["much"]


words = st.text(max_size=8) | st.sampled_from(
    ["x" * 10_000, "😀", "\x00", "NaN", "inf", "-1", "null", "2026-01-02", "1e99"]
)
rows = st.lists(st.lists(words, min_size=0, max_size=7), max_size=12)


@settings(max_examples=15, deadline=None)
@given(table=rows)
def test_every_row_of_a_messy_table_is_kept_or_quarantined_with_a_reason(
    tmp_path_factory: pytest.TempPathFactory, table: list[list[str]]
) -> None:
    lines = [",".join('"' + cell.replace('"', '""') + '"' for cell in row) for row in table if row]

    result = cleaned(tmp_path_factory.mktemp("log"), GOOD + "".join(f"{line}\n" for line in lines))

    # What stands between quotes may hold line ends; a row of the wrong width is then several broken lines.
    straight = all(len(row) == 5 or not set("".join(row)) & set("\n\r") for row in table)
    assert not straight or result.read == 1 + len(lines)
    assert result.events.num_rows + sum(result.refused.values()) == result.read >= 1 + len(lines)
    assert None not in result.quarantine["reason"].to_pylist()


@settings(max_examples=15, deadline=None)
@given(noise=st.lists(st.binary(max_size=30), max_size=8))
def test_noise_between_good_lines_takes_none_of_them_along(
    tmp_path_factory: pytest.TempPathFactory, noise: list[bytes]
) -> None:
    good = [f"ann,a{n},2026-01-02,view,1\n".encode() for n in range(len(noise) + 1)]
    # An open quote may rightly close in a later line of the file.
    mixed = b"".join(line + mess.replace(b'"', b"'") + b"\n" for line, mess in zip(good, [*noise, b""], strict=True))

    result = cleaned(tmp_path_factory.mktemp("log"), HEADER.encode() + mixed)

    kept = set(result.events["item_id"].to_pylist())
    assert {f"a{n}" for n in range(len(good))} <= kept
    assert result.events.num_rows + sum(result.refused.values()) == result.read
