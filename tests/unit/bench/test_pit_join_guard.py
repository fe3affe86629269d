"""A contender that takes more than there is must be stopped, and say how much it took."""

from pathlib import Path

import pytest
from bench.contender import Measured
from bench.pit_join import LARGE, SMALL, best, compare_all, compared
from bench.pit_join_guard import Limits, Stopped, available_mb, run_guarded

CHILD = """
import sys, time
print("ready", flush=True)
{work}
print('{{"seconds": 0.5, "peak_mb": 9.0, "rows": 3}}')
"""
ROOM = Limits(seconds=30, memory_mb=4096)


@pytest.fixture
def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module named `guarded` that the test writes; every child of this test finds it."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path / "guarded.py"


def test_a_child_within_its_limits_is_measured(child: Path) -> None:
    child.write_text(CHILD.format(work=""))

    assert run_guarded("guarded", limits=ROOM) == Measured(0.5, 9.0, 3)


def test_a_child_that_takes_too_long_is_stopped(child: Path) -> None:
    child.write_text(CHILD.format(work="time.sleep(60)"))

    stopped = run_guarded("guarded", limits=Limits(seconds=0.3, memory_mb=4096))

    assert isinstance(stopped, Stopped)
    assert 0.3 <= stopped.seconds < 10
    assert stopped.limit == "time above 0 s"


def test_a_child_that_takes_too_much_memory_is_stopped(child: Path) -> None:
    child.write_text(CHILD.format(work="held = bytearray(200_000_000); time.sleep(60)"))

    stopped = run_guarded("guarded", limits=Limits(seconds=30, memory_mb=150))

    assert isinstance(stopped, Stopped)
    assert stopped.peak_mb > 150
    assert stopped.limit == "memory above 150 MB"


@pytest.mark.parametrize("work", ["sys.exit('no room')", "raise SystemExit('no room')"])
def test_a_child_that_fails_is_quoted(child: Path, work: str) -> None:
    child.write_text(CHILD.format(work=work))

    assert run_guarded("guarded", limits=ROOM) == "no room"


def test_a_child_that_never_starts_its_work_is_quoted(child: Path) -> None:
    child.write_text("raise SystemExit('no data')")

    assert run_guarded("guarded", limits=ROOM) == "no data"


def test_there_is_memory_left_to_share() -> None:
    assert available_mb() > 100


def test_the_best_turn_counts_with_the_highest_peak_and_a_failure_is_no_best() -> None:
    assert best([Measured(2.0, 10.0, 3), Measured(1.0, 20.0, 3)]) == Measured(1.0, 20.0, 3)
    assert best([Measured(2.0, 10.0, 3), "out of memory"]) == "out of memory"


@pytest.mark.parametrize(("ours", "holds"), [(10.0, True), (11.0, False)])
def test_what_a_stopped_contender_needed_is_a_lower_bound_and_is_called_so(ours: float, holds: bool) -> None:
    found = {
        ("ours", LARGE): Measured(ours, 100.0, LARGE),
        ("feast-parts", LARGE): Stopped(50.0, 900.0, "time above 50 s"),
    }

    row = compared(found, ("ours", LARGE), ("feast-parts", LARGE), figure="seconds", ratio=1 / 5)

    assert (row.holds, row.yardstick_value) == (holds, 50.0)
    assert row.yardstick == "feast-parts, 1,000,000 rows, more than (stopped: time above 50 s)"


def test_a_contender_that_was_not_started_never_holds() -> None:
    rows = compare_all({("ours", SMALL): Measured(1.0, 100.0, SMALL)})

    assert not any(row.holds for row in rows)
    assert rows[2].yardstick == "feast, 100,000 rows, failed: it was not started"
