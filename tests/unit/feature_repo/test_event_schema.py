from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from door import cleaned, declared

from feature_repo.core.errors import DatasetError
from feature_repo.dataset.event_schema import check_events


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> pa.Table:
    return cleaned(tmp_path_factory.mktemp("log"), "ann,a,2026-01-02,view,1\nbob,b,2026-01-03,hide,\n").events


def changed(events: pa.Table, column: str, value: object) -> pa.Table:
    """`events` with another value in the last row of a column."""
    place = events.column_names.index(column)
    cells = pa.array([*events[column].to_pylist()[:-1], value], events.schema.field(column).type)
    return events.set_column(place, column, cells)


def test_what_leaves_the_door_is_what_the_schema_says(events: pa.Table, tmp_path: Path) -> None:
    check_events(events, declared(tmp_path))


@pytest.mark.parametrize(
    ("column", "value", "rule"),
    [
        ("user_id", None, "user_id: not_nullable"),
        ("user_id", "", "user_id: .*1 to 512 characters"),
        ("item_id", "i" * 513, "item_id: .*1 to 512 characters"),
        ("event_id", "a\x00b", "event_id: .*without control characters"),
        ("event_id", "a\ufffdb", "event_id: .*valid UTF-8"),
        ("timestamp", datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC), "timestamp: .*since 1970"),
        ("event_type", "stare", "event_type: .*isin"),
        ("value", float("inf"), "value: .*in_range"),
        ("value", float("nan"), "value: "),
        ("value", 1e10, "value: .*in_range"),
        ("position", -1, "position: "),
        ("score", 7.0, "score: .*isin"),
    ],
)
def test_one_cell_that_slipped_through_is_told_by_column_and_rule(
    events: pa.Table, tmp_path: Path, column: str, value: object, rule: str
) -> None:
    with pytest.raises(DatasetError, match=f"the event log breaks its own schema: {rule}"):
        check_events(changed(events, column, value), declared(tmp_path))


def test_a_column_too_many_too_few_or_of_another_type_is_told(events: pa.Table, tmp_path: Path) -> None:
    nanoseconds = events.set_column(3, "timestamp", events["timestamp"].cast(pa.timestamp("ns", "UTC")))
    for wrong in (events.append_column("colour", pa.array(["red"] * 2)), events.drop_columns(["consent"]), nanoseconds):
        with pytest.raises(DatasetError, match="the event log breaks its own schema"):
            check_events(wrong, declared(tmp_path))
