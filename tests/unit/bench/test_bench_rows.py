import json
from pathlib import Path

import pytest
from bench.contender import Measured, run_contender
from bench.pit_join import LARGE, SMALL, compared
from bench.rows import at_most, line_of, not_measured, within, write_rows


@pytest.mark.parametrize(("value", "holds"), [(2.0, True), (2.5, True), (2.51, False)])
def test_a_bound_holds_up_to_its_ratio(value: float, holds: bool) -> None:
    row = at_most("pit_join", "ours", value, unit="s", yardstick=("bare", 1.0), ratio=2.5)

    assert (row.holds, row.ratio) == (holds, value)


def test_a_yardstick_of_nothing_is_no_yardstick() -> None:
    row = at_most("pit_join", "ours", 0.0, unit="s", yardstick=("bare", 0.0), ratio=2.5)

    assert (row.holds, row.ratio) == (False, None)


def test_a_limit_holds_whatever_the_yardstick() -> None:
    assert within("transforms", "all", 59.0, unit="s", yardstick=("copy", 1.0), limit=60).holds
    assert not within("transforms", "all", 61.0, unit="s", yardstick=("copy", 100.0), limit=60).holds


def test_what_was_not_measured_never_holds() -> None:
    row = not_measured("pit_join", "ours", "no data")

    assert (row.holds, row.value, row.ratio, row.yardstick) == (False, None, None, "no data")


def test_a_row_in_words_says_what_it_stands_beside_and_whether_it_holds() -> None:
    slow = at_most("pit_join", "ours", 3.0, unit="s", yardstick=("bare", 1.0), ratio=2.5)

    assert line_of(slow) == "pit_join: ours: 3 s beside 1 s (ratio <= 2.5: NO)"
    assert line_of(not_measured("pit_join", "ours", "no data")) == "pit_join: ours: no data"


def test_a_contender_that_failed_or_lost_rows_is_a_row_that_says_so() -> None:
    measured = {
        ("ours", SMALL): Measured(1.0, 100.0, SMALL),
        ("feast", SMALL): "out of memory",
        ("bare", SMALL): Measured(1.0, 100.0, SMALL - 3),
    }

    failed = compared(measured, ("ours", SMALL), ("feast", SMALL), figure="seconds", ratio=0.2)
    lost = compared(measured, ("ours", SMALL), ("bare", SMALL), figure="seconds", ratio=2.5)

    assert (failed.holds, failed.yardstick) == (False, "feast, 100,000 rows, failed: out of memory")
    assert (lost.holds, lost.yardstick) == (False, "bare answered 99,997 rows of 100,000")
    assert LARGE > SMALL


def test_a_child_that_fails_is_quoted_by_its_last_line() -> None:
    assert "No module named" in str(run_contender("bench.nothing"))


def test_rows_are_written_with_every_promised_key(tmp_path: Path) -> None:
    write_rows([at_most("b", "n", 1.0, unit="s", yardstick=("y", 2.0), ratio=1)], tmp_path / "bench.json")

    (row,) = json.loads((tmp_path / "bench.json").read_text())
    promised = {"bench", "name", "value", "unit", "yardstick", "yardstick_value", "ratio", "bound", "holds"}
    assert set(row) == promised
