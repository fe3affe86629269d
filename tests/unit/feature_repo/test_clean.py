from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from door import HEADER, cleaned, declared, through_the_door
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_repo.core.errors import DatasetError
from feature_repo.dataset.duplicates import CONFLICT, DUPLICATE
from feature_repo.dataset.event_id import event_id
from feature_repo.dataset.read import connect, read_raw_events

GOOD = "ann,a,2026-01-02,view,1\n"


def test_every_refused_row_is_counted_under_the_first_rule_that_it_breaks(tmp_path: Path) -> None:
    result = cleaned(
        tmp_path,
        "ann,a,2026-01-02T00:00:00Z,view,1\n"
        "ann,a,2026-01-02T00:00:00Z,view,1\n"  # the same again
        ",a,2026-01-02T00:00:00Z,view,1\n"
        "ann,,2026-01-02T00:00:00Z,view,1\n"
        "ann,a,,view,1\n"
        "ann,a,yesterday,view,1\n"
        "ann,a,1969-12-31T23:59:59Z,view,1\n"
        "ann,a,2026-01-11T00:00:00Z,view,1\n"
        "ann,a,2026-01-02T00:00:00Z,,1\n"
        "ann,a,2026-01-02T00:00:00Z,stare,1\n"
        "ann,a,2026-01-02T00:00:00Z,view,much\n"
        "ann,a,2026-01-02T00:00:00Z,view,NaN\n"
        "ann,a,2026-01-02T00:00:00Z,view,-inf\n"
        "ann,a,2026-01-02T00:00:00Z,view,1e10\n"
        "ann,a,2026-01-02T00:00:00Z\n",
    )

    assert result.refused == {
        DUPLICATE: 1,
        "user_id is missing": 1,
        "item_id is missing": 1,
        "timestamp is missing": 1,
        "timestamp cannot be read": 1,
        "timestamp is before 1970": 1,
        "timestamp is after now": 1,
        "event type is missing": 1,
        "event type has no weight": 1,
        "value is not a number": 1,
        "value is not finite": 2,
        "value is out of range": 1,
        "line cannot be read as csv": 1,
    }
    assert (result.read, result.events.num_rows, result.quarantine.num_rows) == (15, 1, 14)


@pytest.mark.parametrize(
    ("user", "refused"),
    [
        ("x" * 512, False),
        ("x" * 513, True),
        ("x" * 10_000, True),
        ("a\tb", True),
        ("a\x00b", True),
        ("\x85", True),
        ("a\ufffdb", True),
        ("Zoë 😀 李", False),
        ("-1", False),
        ("'; DROP TABLE events", False),
    ],
)
def test_an_id_is_short_and_printable_in_any_script(tmp_path: Path, user: str, refused: bool) -> None:
    result = cleaned(tmp_path, f'{GOOD}"{user}",b,2026-01-03,view,1\n')

    assert result.refused == ({"user_id is malformed": 1} if refused else {})


def test_the_longest_id_and_the_range_of_values_are_the_teams_to_say(tmp_path: Path) -> None:
    limits = {"id_characters": 3, "value_from": 0, "value_to": None}

    result = cleaned(
        tmp_path,
        f"{GOOD}anna,a,2026-01-02,view,1\nann,b,2026-01-02,view,-1\nann,c,2026-01-02,view,1e12\n",
        cleaning=limits,
    )

    assert result.refused == {"user_id is malformed": 1, "value is out of range": 1}


def test_position_and_consent_are_what_they_say_or_refused(tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_text(
        HEADER.strip()
        + ",place,agreed\n"
        + "".join(
            f"ann,a{n},2026-01-02,view,,{cells}\n"
            for n, cells in enumerate(("3,true", ",", "third,true", "-1,true", "1,perhaps"))
        )
    )

    result = through_the_door(declared(tmp_path, columns={"position": "place", "consent": "agreed"}))

    assert result.refused == {"position is not a whole number": 2, "consent is not true or false": 1}
    assert result.events.select(["position", "consent"]).to_pylist() == [
        {"position": 3, "consent": True},
        {"position": None, "consent": None},
    ]


def test_a_refused_row_is_kept_as_it_was_read(tmp_path: Path) -> None:
    result = cleaned(tmp_path, f"{GOOD},b,1969-12-31T23:59:59Z,stare,7.50\n")

    (row,) = result.quarantine.to_pylist()
    assert (row["reason"], row["item_id"], row["event_type"]) == ("user_id is missing", "b", "stare")
    assert (row["raw_timestamp"], row["raw_value"]) == ("1969-12-31T23:59:59Z", "7.50")
    assert row["read_from"].endswith("events.csv")


def test_a_kept_event_carries_the_weight_of_its_type_as_score(tmp_path: Path) -> None:
    result = cleaned(tmp_path, f"{GOOD}ann,b,2026-01-03,hide,\n")

    assert result.events.column_names[-1] == "score"
    assert result.events["score"].to_pylist() == [1.0, -1.0]


@pytest.mark.parametrize(
    "stamp",
    [
        "2026-01-02T00:00:00Z",
        "2026-01-02 00:00:00",
        " 2026-01-02 ",
        "2026-01-02T01:00:00+01:00",
        "1767312000",
        "1767312000000",
        "1767312000000000",
        "1767312000.0",
    ],
)
def test_a_moment_is_the_same_however_it_is_written(tmp_path: Path, stamp: str) -> None:
    result = cleaned(tmp_path, f"ann,a,{stamp},view,\n")

    assert result.events["timestamp"].to_pylist() == [datetime(2026, 1, 2, tzinfo=UTC)]


@pytest.mark.parametrize("stamp", ["2026-02-30", "noon", "1e300", "-1e30", "nan", "inf", "0x10", "2026-01-02T25:00:00"])
def test_a_moment_that_does_not_exist_is_refused_alone(tmp_path: Path, stamp: str) -> None:
    result = cleaned(tmp_path, f"{GOOD}ann,b,{stamp},view,1\n")

    assert result.refused == {"timestamp cannot be read": 1}
    assert result.quarantine["raw_timestamp"].to_pylist() == [stamp]


def test_a_column_without_one_readable_timestamp_stops_with_file_rule_and_value(tmp_path: Path) -> None:
    with pytest.raises(
        DatasetError, match=r"events\.csv: column 'at' holds timestamps.*none of its rows.*'yesterday'$"
    ):
        cleaned(tmp_path, "ann,a,yesterday,view,1\nann,b,yesterday,view,1\n")


def test_a_clock_that_jumps_back_is_put_in_order(tmp_path: Path) -> None:
    result = cleaned(tmp_path, "ann,a,2026-01-03,view,1\nann,b,2026-01-01,view,1\nann,c,2026-01-02,view,1\n")

    assert result.events["item_id"].to_pylist() == ["b", "c", "a"]


def test_a_copy_is_told_from_other_content_under_the_same_event_id(tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_text(
        HEADER.strip() + ",id,shop\n"
        "ann,a,2026-01-02,view,1,e1,north\n"
        "ann,a,2026-01-02T01:00:00+01:00,view,1.0,e1,north\n"  # the same, written in another way
        "ann,a,2026-01-02,view,2,e1,north\n"
        "ann,a,2026-01-02,view,1,e1,south\n"
        "ann,a,2026-01-02,view,1,e2,north\n"
    )

    result = through_the_door(declared(tmp_path, columns={"event_id": "id"}, context=["shop"]))

    assert result.refused == {DUPLICATE: 1, CONFLICT: 2}
    assert result.events["event_id"].to_pylist() == ["e1", "e2"]
    assert result.events["value"].to_pylist() == [1.0, 1.0]


def test_a_valid_event_is_not_lost_to_an_invalid_one_with_its_id(tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_text(
        HEADER.strip() + ",id\nann,,2026-01-01,view,1,e1\nann,a,2026-01-02,view,1,e1\n"
    )

    result = through_the_door(declared(tmp_path, columns={"event_id": "id"}))

    assert (result.refused, result.events["item_id"].to_pylist()) == ({"item_id is missing": 1}, ["a"])


def test_whole_numbers_are_the_same_ids_in_columns_of_integers_and_of_floats(tmp_path: Path) -> None:
    at = pa.array([1767312000] * 2, pa.int64())
    rest = {"kind": pa.array(["view"] * 2), "amount": pa.array([1.0, None])}
    for name, users in (("a", pa.array([7, 8], pa.int64())), ("b", pa.array([7.0, None]))):
        pq.write_table(
            pa.table({"user": users, "item": [f"{name}1", f"{name}2"], "at": at, **rest}), tmp_path / f"{name}.parquet"
        )

    result = through_the_door(declared(tmp_path, path="*.parquet"))

    assert sorted(result.events["user_id"].to_pylist()) == ["7", "7", "8"]
    assert result.refused == {"user_id is missing": 1}


def test_a_missing_file_column_or_row_is_named(tmp_path: Path) -> None:
    dataset = declared(tmp_path)
    (tmp_path / "events.csv").write_text(HEADER)
    with pytest.raises(DatasetError, match=r"events\.csv: expected at least one row"):
        read_raw_events(connect(), dataset)

    (tmp_path / "events.csv").write_text("user,item,at,kind\nann,a,2026-01-02,view\n")
    with pytest.raises(DatasetError, match=r"events\.csv: column 'amount' is declared and not there; .* user, item"):
        read_raw_events(connect(), dataset)

    (tmp_path / "events.csv").write_text("user,item,at,kind,amount,user\nann,a,2026-01-02,view,1,bob\n")
    with pytest.raises(DatasetError, match=r"events\.csv: column 'user' is declared once and there 2 times"):
        read_raw_events(connect(), dataset)

    (tmp_path / "events.csv").unlink()
    with pytest.raises(DatasetError, match=r"events\.csv: expected a parquet or csv file.*found none"):
        read_raw_events(connect(), dataset)


def test_a_log_of_which_nothing_is_left_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no event is left after cleaning; refused: .*'user_id is missing': 1"):
        cleaned(tmp_path, ",a,2026-01-02,view,1\n")


@settings(max_examples=15, deadline=None)
@given(user=st.text("ab| é", min_size=1).filter(str.strip), value=st.none() | st.floats(-1e9, 1e9, width=32))
def test_the_hash_of_a_row_is_the_same_in_sql_and_in_python(
    tmp_path_factory: pytest.TempPathFactory, user: str, value: float | None
) -> None:
    amount = "" if value is None else repr(value)

    result = cleaned(tmp_path_factory.mktemp("log"), f'"{user}",a,1767312000,view,{amount}\n')

    expected = event_id(user, "a", 1_767_312_000_000_000, "view", value)
    assert result.events["event_id"].to_pylist() == [expected]
