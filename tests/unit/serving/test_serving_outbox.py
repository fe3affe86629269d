"""Received events reach the bus at least once: a real Redis, real files, a process that is really killed."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from servers import free_port, redis_server

from feature_repo.core.workspace import Workspace
from feature_repo.stream.bus import BusUnavailable
from feature_repo.stream.connect import open_bus
from serving import outbox
from serving.events import Event
from serving.inbox import EventsNotStored, Inbox, open_inbox

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
SENDER = """
import sys
from datetime import UTC, datetime
from feature_repo.core.workspace import Workspace
from serving.events import Event
from serving.inbox import open_inbox
inbox = open_inbox(Workspace.from_env(), remembered=1000, sweep_seconds=60)
for n in range(100_000):
    moment = datetime(2026, 5, 1, tzinfo=UTC)
    inbox.receive([Event(f"e{n}", "u", "i", moment, "view", None, None, None, None, {})])
    print(n, flush=True)
"""
Open = Callable[..., Inbox]


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with redis_server(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture
def workspace(tmp_path: Path, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("BUS_URL", f"{redis_url}?stream={tmp_path.name}")
    return Workspace(root=tmp_path, store=tmp_path / "store")


@pytest.fixture
def opened(workspace: Workspace) -> Iterator[Open]:
    """Opens inboxes that are closed at the end."""
    with ExitStack() as stack:

        def opens(**options: Any) -> Inbox:
            inbox = open_inbox(workspace, **{"remembered": 100, "sweep_seconds": 60.0, **options})
            stack.callback(inbox.close)
            return inbox

        yield opens


def event(number: int, user: str = "u1") -> Event:
    return Event(f"e{number}", user, "i1", NOON, "view", 1.5, "r1", 2, True, {"device": "phone"})


def on_bus(workspace: Workspace) -> list[str]:
    """The ids of all events on the bus, in its order."""
    bus = open_bus(workspace)
    ids: list[str] = []
    try:
        while records := bus.read(1_000, timeout=0.02):
            ids += [json.loads(record.payload)["event_id"] for record in records]
        return ids
    finally:
        bus.close()


def eventually(holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 10
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.02)
    return holds()


def test_a_batch_is_on_the_bus_when_it_is_acknowledged_as_the_consumer_reads_it(
    workspace: Workspace, opened: Open
) -> None:
    opened().receive([event(1), event(2)])

    bus = open_bus(workspace)
    payloads = [json.loads(record.payload) for record in bus.read(10, timeout=0.1)]
    bus.close()
    assert payloads[0] == {
        "event_id": "e1",
        "user_id": "u1",
        "item_id": "i1",
        "timestamp": NOON.isoformat(),
        "event_type": "view",
        "value": 1.5,
        "consent": True,
    }
    assert [payload["event_id"] for payload in payloads] == ["e1", "e2"]


def test_a_batch_that_is_sent_again_goes_to_the_bus_once(workspace: Workspace, opened: Open) -> None:
    inbox = opened()
    inbox.receive([event(1), event(2)])
    inbox.receive([event(2), event(1)])
    inbox.receive([event(2), event(3)])

    opened().receive([event(1), event(2)])

    assert on_bus(workspace) == ["e1", "e2", "e3"]


def test_without_a_bus_a_batch_is_refused_and_gets_there_when_it_is_sent_again(
    workspace: Workspace, opened: Open, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    port = free_port()
    monkeypatch.setenv("BUS_URL", f"redis://127.0.0.1:{port}/0")
    monkeypatch.setattr(outbox, "PAUSE_SECONDS", 0.05)
    told: list[str] = []
    inbox = opened(on_received=lambda events: told.extend(e.event_id for e in events))

    with pytest.raises(EventsNotStored, match=r"not on the event bus .* did not answer: .* send it again"):
        inbox.receive([event(1)])
    with pytest.raises(EventsNotStored, match="did not answer a moment ago"):
        inbox.receive([event(2)])
    time.sleep(0.06)
    with redis_server(tmp_path, port=port):
        receipt = inbox.receive([event(1)])

        assert (receipt.accepted, receipt.duplicates) == (0, 1)
        assert on_bus(workspace) == ["e1", "e2"]  # what was refused second was durable, too
    assert told == ["e1", "e2"]


def test_what_another_process_left_behind_is_sent_in_order_of_arrival(workspace: Workspace, opened: Open) -> None:
    for number in (3, 1, 2):
        Inbox(workspace.received, remembered=10).receive([event(number)])
        time.sleep(0.002)
    inbox = opened()

    inbox.start()

    assert eventually(lambda: len(on_bus(workspace)) == 3)
    assert on_bus(workspace) == ["e3", "e1", "e2"]
    again = opened()
    again.start()
    again.receive([event(4)])
    assert on_bus(workspace) == ["e3", "e1", "e2", "e4"]


def test_a_backlog_above_what_one_call_sends_is_worked_off_by_the_thread(
    workspace: Workspace, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "FILES_AT_ONCE", 2)
    for number in range(5):
        Inbox(workspace.received, remembered=10).receive([event(number)])
    inbox = opened()
    box = inbox._outbox
    assert box is not None
    for file in sorted(workspace.received.glob("*.parquet")):
        box.add(file.name)

    with pytest.raises(EventsNotStored, match="4 earlier batches are on their way to the event bus"):
        inbox.receive([event(9)])
    inbox.start()

    assert eventually(lambda: len(on_bus(workspace)) == 6)


def test_a_file_that_rotted_does_not_hold_up_the_others(workspace: Workspace, opened: Open) -> None:
    workspace.received.mkdir(parents=True)
    (workspace.received / "rotten.parquet").write_bytes(b"PAR1 no more PAR1")
    inbox = opened()
    inbox.start()

    inbox.receive([event(1)])

    assert on_bus(workspace) == ["e1"]


def test_a_line_that_a_kill_cut_off_is_no_line(tmp_path: Path) -> None:
    (tmp_path / "forwarded.log").write_text("one.parquet\ntwo.par")
    forwarded = outbox.Forwarded(tmp_path / "forwarded.log")

    assert "one.parquet" in forwarded.names()
    assert "two.par" not in forwarded.names()
    forwarded.add("three.parquet")
    assert "three.parquet" in forwarded.names()


def test_a_process_that_is_killed_in_the_middle_loses_no_event(workspace: Workspace, opened: Open) -> None:
    """Killed by SIGKILL while it sends: what it stored and did not send is sent by the next process."""
    environment = {"BUILD": str(workspace.root), "STORE_URL": str(workspace.store)}
    sender = subprocess.Popen([sys.executable, "-c", SENDER], env={**os.environ, **environment}, stdout=subprocess.PIPE)
    assert sender.stdout is not None
    acknowledged = [int(sender.stdout.readline()) for _ in range(50)]
    sender.send_signal(signal.SIGKILL)
    sender.communicate()
    Inbox(workspace.received, remembered=0).receive([replace(event(1), event_id="stored by a dying process")])

    opened().start()

    stored = {path.name for path in workspace.received.glob("*.parquet")}
    assert eventually(lambda: len(set(on_bus(workspace))) == len(stored))
    assert {f"e{n}" for n in acknowledged} | {"stored by a dying process"} <= set(on_bus(workspace))


def test_an_address_that_breaks_its_rule_stops_the_start(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUS_URL", "ftp://here")

    with pytest.raises(BusUnavailable, match="BUS_URL is redis://"):
        open_inbox(workspace, remembered=1, sweep_seconds=1)


def test_without_a_bus_url_the_folder_is_the_bus(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BUS_URL")
    inbox = open_inbox(workspace, remembered=10, sweep_seconds=1)
    inbox.start()

    inbox.receive([event(1)])
    inbox.close()

    assert on_bus(workspace) == ["e1"]
