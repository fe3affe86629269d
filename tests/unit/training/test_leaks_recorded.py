"""When a row of users or items became known: declared, read, and kept beside the row that it corrects."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import ibis
import pytest

from feature_repo.core.errors import DatasetError
from feature_repo.dataset.declaration import Dataset, EntityTable, Events
from feature_repo.dataset.read import connect, read_entities
from feature_repo.transforms.attributes import dated_attributes

FIRST, SECOND = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)


def rows(folder: Path, lines: list[str], **dates: str) -> Any:
    (folder / "users.csv").write_text("\n".join(["user,city,since,written", *lines]) + "\n")
    declared = EntityTable(path="users.csv", key="user", categorical=("city",), **dates)
    dataset = Dataset(
        name="tiny",
        events=Events(path="-", columns={"user_id": "u", "item_id": "i", "timestamp": "t"}, event_type="view"),
        users=declared,
        weights={"view": 1.0},
        base=folder,
    )
    return read_entities(connect(), dataset, declared, "user_id").to_arrow_table()


def dated(table: Any) -> list[tuple[Any, ...]]:
    view = dated_attributes(ibis.memtable(table), key="user_id", attributes=("city",), first_event=FIRST)
    found = view.to_pyarrow()  # once: two runs may give two orders
    names = [name for name in ("city", "event_timestamp", "created_timestamp") if name in view.columns]
    return sorted(zip(*(found[name].to_pylist() for name in names), strict=True))


def test_a_correction_stands_beside_the_row_that_it_corrects(tmp_path: Path) -> None:
    lines = ["ann,Rome,2026-01-01,2026-01-01", "ann,Oslo,2026-01-01,1767312000", "ann,Rome,2026-01-01,2026-01-01"]

    found = dated(rows(tmp_path, lines, valid_from="since", recorded="written"))

    assert found == [("Oslo", FIRST, SECOND), ("Rome", FIRST, FIRST)]


def test_without_a_date_of_its_own_a_row_holds_from_when_it_was_recorded(tmp_path: Path) -> None:
    found = dated(rows(tmp_path, ["ann,Rome,,2026-01-02"], recorded="written"))

    assert found == [("Rome", SECOND, SECOND)]


def test_a_row_that_does_not_say_when_it_was_recorded_was_known_when_it_began_to_hold(tmp_path: Path) -> None:
    found = dated(rows(tmp_path, ["ann,Rome,2026-01-02,", "bob,Oslo,,"], valid_from="since", recorded="written"))

    assert found == [("Oslo", FIRST, FIRST), ("Rome", SECOND, SECOND)]


def test_where_nothing_is_recorded_there_is_one_row_for_each_date(tmp_path: Path) -> None:
    found = dated(rows(tmp_path, ["ann,Rome,2026-01-02,", "ann,Oslo,2026-01-02,"], valid_from="since"))

    assert found == [("Oslo", SECOND)]


def test_a_declared_column_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="'when' is declared and not there"):
        rows(tmp_path, ["ann,Rome,,"], recorded="when")
