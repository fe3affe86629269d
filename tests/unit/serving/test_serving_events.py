import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from feature_repo.core.workspace import Workspace
from feature_repo.dataset.event_id import event_id
from feature_repo.dataset.received import read_received
from serving.events import parse_events
from serving.inbox import EventsNotStored, Inbox, Receipt
from serving.rules import BadRequest
from serving.settings import ServingSettings

SETTINGS = ServingSettings(version="1", bundle=Path("bundle"), max_events=3)
EVENT = {"user_id": "u", "item_id": "i", "timestamp": "2024-05-01T12:00:00Z", "event_type": "view"}


def body(*events: object) -> bytes:
    return json.dumps(list(events)).encode()


def with_id(identity: str) -> dict[str, object]:
    return {**EVENT, "event_id": identity}


def inbox(workspace: Workspace) -> Inbox:
    return Inbox(workspace.received, remembered=100)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(root=tmp_path, store=tmp_path / "store")


def test_an_event_without_an_id_gets_the_hash_of_its_row() -> None:
    (event,) = parse_events(body({**EVENT, "value": 4}), SETTINGS)

    moment = int(datetime(2024, 5, 1, 12, tzinfo=UTC).timestamp()) * 1_000_000
    assert event.event_id == event_id("u", "i", moment, "view", 4.0)
    assert event.timestamp == datetime(2024, 5, 1, 12, tzinfo=UTC)


def test_a_batch_may_stand_under_events() -> None:
    assert parse_events(json.dumps({"events": [EVENT]}).encode(), SETTINGS) == parse_events(body(EVENT), SETTINGS)


REFUSED = [
    (body(), "events must be a list of 1 to 3 events; got a list of 0"),
    (body(EVENT, EVENT, EVENT, EVENT), "events must be a list of 1 to 3 events; got a list of 4"),
    (b'{"batch": []}', "the body may have the fields events; got 'batch'"),
    (b"7", "events must be a list of 1 to 3 events; got 7"),
    (body(EVENT, 7), "events[1] must be a JSON object; got 7"),
    (body({**EVENT, "user": "u"}), "events[0] may have the fields"),
    (
        body({**EVENT, "item_id": None}),
        "events[0].item_id must be a text of 1 to 512 characters, not all blank; got nothing",
    ),
    (
        body({**EVENT, "timestamp": 1714564800}),
        "events[0].timestamp must be a time in ISO 8601 with its zone; got 1714564800",
    ),
    (body({**EVENT, "timestamp": "2024-05-01"}), "events[0].timestamp must name its zone"),
    (body({**EVENT, "value": "4"}), "events[0].value must be a finite number; got '4'"),
    (body({**EVENT, "position": -1}), "events[0].position must be a whole number from 0 to 1000000; got -1"),
    (body({**EVENT, "consent": "yes"}), "events[0].consent must be true or false; got 'yes'"),
    (
        body({**EVENT, "context": {"shop": 1}}),
        "events[0].context.shop must be a text of at most 512 characters; got 1",
    ),
]


@pytest.mark.parametrize(("arrived", "sentence"), REFUSED)
def test_a_batch_that_breaks_a_rule_is_refused_with_the_rule_and_what_arrived(arrived: bytes, sentence: str) -> None:
    with pytest.raises(BadRequest) as refusal:
        parse_events(arrived, SETTINGS)

    assert str(refusal.value).startswith(sentence)


def test_stored_events_are_read_back_as_they_arrived(workspace: Workspace) -> None:
    event = {
        **EVENT,
        "event_id": "e",
        "value": 4.5,
        "request_id": "r",
        "position": 2,
        "consent": True,
        "context": {"shop": "7"},
    }
    inbox(workspace).receive(parse_events(body(event), SETTINGS))

    (row,) = read_received(workspace).to_pylist()
    assert row == {**event, "timestamp": datetime(2024, 5, 1, 12, tzinfo=UTC), "context": [("shop", "7")]}


def test_a_repeat_within_a_batch_counts_once(workspace: Workspace) -> None:
    receipt = inbox(workspace).receive(parse_events(body(with_id("a"), with_id("b"), with_id("a")), SETTINGS))

    assert receipt == Receipt(accepted=2, duplicates=1)
    assert read_received(workspace)["event_id"].to_pylist() == ["a", "b"]


def test_an_overlapping_batch_adds_only_what_is_new(workspace: Workspace) -> None:
    box = inbox(workspace)
    box.receive(parse_events(body(with_id("a"), with_id("b")), SETTINGS))

    assert box.receive(parse_events(body(with_id("b"), with_id("c")), SETTINGS)) == Receipt(1, 1)
    assert read_received(workspace)["event_id"].to_pylist() == ["a", "b", "c"]


def test_ids_are_known_after_a_restart(workspace: Workspace) -> None:
    inbox(workspace).receive(parse_events(body(with_id("a"), with_id("b")), SETTINGS))

    assert inbox(workspace).receive(parse_events(body(with_id("a")), SETTINGS)) == Receipt(0, 1)


def test_a_batch_sent_again_to_the_process_beside_is_a_repeat(workspace: Workspace) -> None:
    stable, canary = inbox(workspace), inbox(workspace)
    canary.receive(parse_events(body(with_id("z")), SETTINGS))
    batch = parse_events(body(with_id("a"), with_id("b")), SETTINGS)

    assert stable.receive(batch) == Receipt(2, 0)
    assert canary.receive(batch) == Receipt(0, 2)


def test_an_event_counts_once_even_where_it_was_written_twice(workspace: Workspace) -> None:
    stable, canary = inbox(workspace), inbox(workspace)
    canary.receive(parse_events(body(with_id("z")), SETTINGS))
    stable.receive(parse_events(body(with_id("a")), SETTINGS))
    canary.receive(parse_events(body(with_id("a"), with_id("b")), SETTINGS))

    assert read_received(workspace)["event_id"].to_pylist() == ["a", "b", "z"]


def test_ids_beyond_the_memory_are_forgotten_and_still_count_once(workspace: Workspace) -> None:
    box = Inbox(workspace.received, remembered=1)
    for identity in ("a", "b"):
        box.receive(parse_events(body(with_id(identity)), SETTINGS))

    box.receive(parse_events(body(with_id("a"), with_id("c")), SETTINGS))

    assert read_received(workspace)["event_id"].to_pylist() == ["a", "b", "c"]


def test_a_disk_that_fails_leaves_nothing_behind_and_the_batch_can_be_sent_again(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    box, batch = inbox(workspace), parse_events(body(EVENT), SETTINGS)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("serving.inbox.os.fsync", full)
        with pytest.raises(EventsNotStored, match=r"could not be stored \(.*No space left on device\): send it again"):
            box.receive(batch)

    assert list(workspace.store.rglob("*.p*")) == []
    assert box.receive(batch) == Receipt(1, 0)


def test_nothing_received_reads_as_an_empty_table(workspace: Workspace) -> None:
    assert read_received(workspace).num_rows == 0
