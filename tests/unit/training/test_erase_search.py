"""The search behind the report: it must find a person in every kind of file, and nobody else."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.erase.arrow import rewrite_without
from training.erase.online_key import online_key, online_prefix
from training.erase.person import Person, is_distinctive
from training.erase.search import files_below, places_below, places_in, places_in_value

ANN = Person("ann.lee@example.org", "hash", distinctive=True)
SEVEN = Person("7", "hash", distinctive=False)


@pytest.mark.parametrize(
    ("user_id", "others", "expected"),
    [
        ("ann.lee@example.org", ["bob"], True),
        ("short", [], False),
        ("12345678", [], False),
        ("household-1", ["household-12"], False),
        ("household-1", ["household-1", None], True),
    ],
)
def test_an_id_is_distinctive_when_it_cannot_be_part_of_something_else(
    user_id: str, others: list[str | None], expected: bool
) -> None:
    assert is_distinctive(user_id, others) is expected


def test_every_text_of_a_table_is_searched_however_deep(tmp_path: Path) -> None:
    table = pa.table(
        {
            "user_id": ["bob", "ann.lee@example.org"],
            "request_id": ["r1", "ann.lee@example.org@17"],
            "slate": [["t1"], ["t2", "for ann.lee@example.org"]],
            "context": pa.array([[], [("mail", "ann.lee@example.org")]], pa.map_(pa.string(), pa.string())),
            "payload": pa.array([b"{}", b'{"user_id": "ann.lee@example.org"}']),
            "both": [{"a": "x"}, {"a": "ann.lee@example.org"}],
            "code": pa.array(["ann.lee@example.org", "x"]).dictionary_encode(),
            "number": [1, 2],
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    with pa.OSFile(str(tmp_path / "a.arrow"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)

    assert places_in(tmp_path / "a.parquet", ANN) == places_in(tmp_path / "a.arrow", ANN) == 7


def test_an_id_that_is_also_an_item_counts_only_where_users_stand(tmp_path: Path) -> None:
    table = pa.table({"user_id": ["7", "17", "7"], "item_id": ["7", "7", "8"], "slate": [["7"], [], ["7"]]})
    pq.write_table(table, tmp_path / "a.parquet")
    (tmp_path / "a.json").write_text(
        json.dumps({"item_ids": ["7", "8"], "user_ids": ["7", "17"], "example_user": "7", "7": "7"})
    )

    assert places_in(tmp_path / "a.parquet", SEVEN) == 2
    assert places_in(tmp_path / "a.json", SEVEN) == 2


def test_keys_and_values_of_json_are_searched_by_what_they_mean_and_not_by_how_they_are_written() -> None:
    name = Person("zoë@example.org", "hash", distinctive=True)
    value = json.loads(json.dumps({"zoë@example.org": [1], "a": {"b": ["by zoë@example.org", None]}}))

    assert places_in_value(value, name) == 2


def test_a_deleted_row_in_a_free_page_of_a_database_is_found(tmp_path: Path) -> None:
    path = tmp_path / "any.db"
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA secure_delete = OFF")
        database.execute("CREATE TABLE t (user_id TEXT, note TEXT)")
        with database:
            database.execute("INSERT INTO t VALUES ('ann.lee@example.org', 'by ann.lee@example.org'), ('bob', 'y')")
        assert places_in(path, ANN) == 2

        with database:
            database.execute("DELETE FROM t WHERE user_id <> 'bob'")
        assert places_in(path, ANN) == 1

        database.execute("VACUUM")
        assert places_in(path, ANN) == 0


def test_a_short_id_is_found_under_the_key_of_an_online_store(tmp_path: Path) -> None:
    path = tmp_path / "online.db"
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE view (entity_key BLOB, value BLOB)")
        database.executemany("INSERT INTO view VALUES (?, 7)", [(online_key("7"),), (online_key("17"),)])

    assert places_in(path, SEVEN) == 1
    assert online_key("7").startswith(online_prefix("user_id"))


@pytest.mark.parametrize(
    "text", ["ann.lee@example.org", "GET /user/ann.lee%40example.org", "<b>ann.lee@example.org</b>"]
)
def test_text_of_any_kind_is_searched_byte_by_byte(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.log").write_text("x" * (1 << 20) + text)  # across the border of two chunks, or behind it
    (tmp_path / "b.log").write_text("x" * ((1 << 20) - 7) + text)

    assert places_below([tmp_path], ANN) == {tmp_path / "a.log": 1, tmp_path / "b.log": 1}


@pytest.mark.parametrize("name", ["a.parquet", "a.json", "a.jsonl", "a.arrow"])
def test_a_file_that_cannot_be_read_is_never_taken_for_one_without_the_person(tmp_path: Path, name: str) -> None:
    start = {"a.parquet": b"PAR1", "a.arrow": b"ARROW1\0\0"}.get(name, b"{")
    (tmp_path / name).write_bytes(start + b"cut off")

    assert places_in(tmp_path / name, SEVEN) == 1


def test_a_workspace_of_another_data_set_below_this_one_is_left_alone(tmp_path: Path) -> None:
    for name in ("here/a.json", "other/data.lock", "other/deep/b.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("{}")
    (tmp_path / "data.lock").touch()

    assert files_below([tmp_path, tmp_path / "here"]) == [tmp_path / "data.lock", tmp_path / "here" / "a.json"]


@given(users=st.lists(st.sampled_from(["7", "17", "bob", " 7", ""]), max_size=40), rows=st.integers(1, 7))
def test_rewriting_takes_the_persons_rows_and_leaves_every_other_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, users: list[str], rows: int
) -> None:
    path = tmp_path_factory.mktemp("table") / "t.parquet"
    table = pa.table({"user_id": pa.array(users, pa.string()), "n": pa.array(range(len(users)), pa.int64())})
    pq.write_table(table, path, row_group_size=rows)

    removed = rewrite_without(path, SEVEN)

    left = pq.read_table(path)
    assert removed == users.count("7")
    assert left.to_pylist() == [row for row in table.to_pylist() if row["user_id"] != "7"]
    assert left.schema == table.schema
    assert places_in(path, SEVEN) == 0


def test_a_file_without_the_person_is_not_touched(tmp_path: Path) -> None:
    pq.write_table(pa.table({"user_id": ["bob"]}), tmp_path / "t.parquet")
    before = (tmp_path / "t.parquet").stat()

    assert rewrite_without(tmp_path / "t.parquet", SEVEN) == 0

    assert (tmp_path / "t.parquet").stat() == before
