"""The journal: counted once, kept until the batch state holds it, gone when erased."""

import sqlite3
from pathlib import Path

import pytest

from feature_repo.stream.journal import open_journal
from feature_repo.stream.payload import StreamEvent

FIRST, SECOND = StreamEvent("e1", "u1", "i1", 100, True, 5), StreamEvent("e2", "u2", "i1", 200, False, -5)
BASE = {"user_event_count": 3, "history_items": ["a", "ü"]}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "stream" / "journal.db"


def test_what_was_recorded_is_there_after_it_was_opened_again(path: Path) -> None:
    journal = open_journal(path)
    journal.record([FIRST, SECOND], bases={"u1": BASE, "u2": {}}, stamps={"u1": 101, "u2": 201})
    journal.close()

    again = open_journal(path)

    assert again.events == 2
    assert again.known(["e1", "e3"]) == {"e1"}
    assert again.events_of(["u1", "u2", "u3"]) == {"u1": [FIRST], "u2": [SECOND]}
    assert again.bases(["u1", "u2", "u3"]) == {"u1": BASE, "u2": {}}
    assert again.stamps(["u1", "u3"]) == {"u1": 101}
    again.close()


def test_the_users_of_the_last_batch_are_those_whose_rows_may_be_missing(path: Path) -> None:
    journal = open_journal(path)
    journal.record([FIRST], bases={"u1": {}}, stamps={"u1": 101})
    journal.record([SECOND], bases={"u2": {}}, stamps={"u2": 201})
    journal.close()

    again = open_journal(path)

    assert again.last_batch() == ["u2"]
    assert again.users() == ["u1", "u2"]
    again.close()


def test_an_event_cannot_be_recorded_twice_and_then_nothing_of_its_batch_is(path: Path) -> None:
    journal = open_journal(path)
    journal.record([FIRST], bases={"u1": {}}, stamps={"u1": 101})

    with pytest.raises(sqlite3.IntegrityError):
        journal.record([SECOND, FIRST], bases={"u2": {}}, stamps={"u2": 201})

    assert journal.known(["e1", "e2"]) == {"e1"}
    assert journal.bases(["u2"]) == {}
    journal.close()


def test_another_batch_state_takes_the_events_that_it_holds(path: Path) -> None:
    journal = open_journal(path)
    journal.record([FIRST, SECOND], bases={"u1": BASE, "u2": {}}, stamps={"u1": 101, "u2": 201})

    journal.rebase("second", 150, bases={"u1": {}, "u2": BASE}, stamps={"u1": 102, "u2": 202})

    assert (journal.generation, journal.horizon_us, journal.events) == ("second", 150, 1)
    assert journal.known(["e1", "e2"]) == {"e2"}
    assert journal.bases(["u1", "u2"]) == {"u1": {}, "u2": BASE}
    assert journal.last_batch() == ["u1", "u2"]
    journal.forget_idle()
    assert journal.users() == ["u2"]
    assert journal.bases(["u1", "u2"]) == {"u2": BASE}
    journal.close()


def test_the_oldest_events_can_be_counted_into_the_base_rows(path: Path) -> None:
    journal = open_journal(path)
    journal.record([FIRST, SECOND], bases={"u1": {}, "u2": {}}, stamps={"u1": 101, "u2": 201})

    horizon = journal.moment_after(1)
    before = journal.events_before(horizon)
    journal.shorten(horizon, {"u1": BASE})

    assert (horizon, before) == (101, {"u1": [FIRST]})
    assert (journal.horizon_us, journal.events) == (101, 1)
    assert journal.bases(["u1", "u2"]) == {"u1": BASE, "u2": {}}
    journal.close()


def test_an_erased_user_leaves_no_byte_in_the_file_and_the_consumer_notices(path: Path) -> None:
    journal, other = open_journal(path), open_journal(path)
    journal.record([FIRST, SECOND], bases={"u1": BASE, "u2": {}}, stamps={"u1": 101, "u2": 201})
    secret = StreamEvent("e3", "somebody@example.org", "i1", 300, True, 0)
    journal.record([secret], bases={secret.user_id: {}}, stamps={secret.user_id: 301})
    noticed = [journal.changed_by_others()]

    removed = other.erase(secret.user_id)
    noticed.append(journal.changed_by_others())

    assert (removed, noticed) == (1, [False, True])
    assert journal.known(["e1", "e2", "e3"]) == {"e1", "e2"}
    journal.close()
    other.close()
    assert not any(b"somebody@example.org" in file.read_bytes() for file in path.parent.iterdir())


def test_thousands_of_ids_are_looked_up(path: Path) -> None:
    journal = open_journal(path)
    events = [StreamEvent(f"e{n}", "u1", "i1", n, True, 0) for n in range(3_000)]
    journal.record(events, bases={"u1": {}}, stamps={"u1": 3_000})

    assert journal.known([f"e{n}" for n in range(1_000, 4_000)]) == {f"e{n}" for n in range(1_000, 3_000)}
    journal.close()
