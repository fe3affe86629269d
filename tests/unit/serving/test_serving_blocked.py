import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_repo.store.item_table import ItemTable, item_table
from serving.items.blocked import BlockedList
from serving.items.blocked_file import BlockedListError, block, format_blocked, parse_blocked, read_blocked, unblock

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ITEMS = ("a", "b", "c")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store" / "blocked.csv"


@pytest.fixture
def table() -> ItemTable:
    return item_table(pa.table({"item_id": list(ITEMS)}), NOW)


def eventually(holds: Callable[[], bool], *, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.01)
    return holds()


@given(st.dictionaries(st.text(st.characters(codec="utf-8"), min_size=1), st.just(NOW.isoformat())))
def test_any_ids_come_back_as_they_were_written(blocked: dict[str, str]) -> None:
    assert parse_blocked(format_blocked(blocked)) == blocked


def test_blocking_adds_and_unblocking_takes_away(path: Path) -> None:
    assert block(path, ["a", "b"], now=NOW) == 2
    assert block(path, ["b"], now=NOW) == 2
    assert unblock(path, ["a"]) == 1

    assert read_blocked(path) == {"b": NOW.isoformat()}


def test_unblocking_what_is_not_blocked_changes_nothing(path: Path) -> None:
    block(path, ["a"], now=NOW)

    with pytest.raises(BlockedListError, match=r"only blocked items can be unblocked; got \['x'\]"):
        unblock(path, ["a", "x"])

    assert read_blocked(path).keys() == {"a"}


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (b"", "must begin with item_id,blocked_at; got"),
        (b"a\n", "must begin with item_id,blocked_at; got"),
        (b"item_id,blocked_at\na,now\nb", r"line 3 of the list .* got \['b'\]"),
        (b"item_id,blocked_at\na,no", "must end with an end of line; got"),
        (b"item_id,blocked_at\n\xff,now\n", "must be a CSV in UTF-8; got"),
        (b'item_id,blocked_at\n"a,now\n', "must be a CSV in UTF-8; got"),
    ],
)
def test_a_list_that_is_broken_or_half_written_is_refused(content: bytes, rule: str) -> None:
    with pytest.raises(BlockedListError, match=rule):
        parse_blocked(content)


def test_the_mask_marks_blocked_items_and_forgets_unknown_ones(path: Path, table: ItemTable) -> None:
    block(path, ["b", "nothing"], now=NOW)
    blocked = BlockedList(path, must_exist=False)

    blocked.look()

    assert blocked.mask(table).tolist() == [False, True, False]
    assert blocked.mask(table) is blocked.mask(table)


def test_a_list_that_was_never_there_is_empty_and_loaded(path: Path, table: ItemTable) -> None:
    blocked = BlockedList(path, must_exist=False)

    blocked.look()

    assert blocked.loaded
    assert not blocked.mask(table).any()


def test_a_named_list_that_is_not_there_was_never_loaded_until_it_comes(path: Path) -> None:
    outcomes: list[str] = []
    blocked = BlockedList(path, must_exist=True, on_outcome=outcomes.append)
    blocked.look()
    before = blocked.loaded

    block(path, ["a"], now=NOW)
    blocked.look()

    assert not before
    assert blocked.loaded
    assert blocked.ids == {"a"}
    assert outcomes == ["refused", "loaded"]


@pytest.mark.parametrize("breaks", [lambda path: path.write_bytes(b"item_id,blo"), lambda path: path.unlink()])
def test_a_list_that_breaks_or_goes_leaves_the_last_good_one_in_force(
    path: Path, breaks: Callable[[Path], object]
) -> None:
    outcomes: list[str] = []
    block(path, ["a"], now=NOW)
    blocked = BlockedList(path, must_exist=False, on_outcome=outcomes.append)
    blocked.look()

    breaks(path)
    blocked.look()
    blocked.look()

    assert blocked.ids == {"a"}
    assert outcomes == ["loaded", "refused"]


def test_a_running_list_takes_over_a_change_within_a_second(path: Path) -> None:
    block(path, ["a"], now=NOW)
    blocked = BlockedList(path, must_exist=False)
    blocked.start()
    try:
        block(path, ["b"], now=NOW)

        assert eventually(lambda: blocked.ids == {"a", "b"}, seconds=1.0)
    finally:
        blocked.close()


def test_a_list_written_at_the_same_moment_with_the_same_length_is_still_seen(path: Path) -> None:
    block(path, ["a"], now=NOW)
    stamp = path.stat().st_mtime_ns
    blocked = BlockedList(path, must_exist=False)
    blocked.look()

    unblock(path, ["a"])
    block(path, ["b"], now=NOW)
    os.utime(path, ns=(stamp, stamp))
    blocked.look()

    assert blocked.ids == {"b"}
