"""One suite for every event bus: real Redis, librdkafka's own cluster, and the folder."""

import json
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from servers import redis_server

from feature_repo.core.workspace import Workspace
from feature_repo.stream.bus import BusUnavailable, CannotErase, EventBus, Message
from feature_repo.stream.connect import open_bus
from feature_repo.stream.kafka_bus import KafkaBus

Open = Callable[[], EventBus]
PATIENCE = 10.0  # seconds


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with redis_server(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture(scope="session")
def kafka_address() -> Iterator[str]:
    producer = pytest.importorskip("confluent_kafka").Producer({"test.mock.num.brokers": 1, "log_level": 0})
    (broker,) = producer.list_topics(timeout=10).brokers.values()
    yield f"{broker.host}:{broker.port}"
    producer.flush(1)


@pytest.fixture(params=["redis", "kafka", "folder"])
def bus(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Opens one bus after another on the same, at first empty, records; the one before is closed."""
    workspace = Workspace(root=tmp_path, store=tmp_path / "store")
    name = f"events-{uuid.uuid4().hex[:8]}"
    url = ""
    if request.param == "redis":
        url = f"{request.getfixturevalue('redis_url')}?stream={name}"
    if request.param == "kafka":
        url = f"kafka://{request.getfixturevalue('kafka_address')}/{name}"
    with ExitStack() as stack:

        def reopen() -> EventBus:
            stack.close()
            opened = open_bus(workspace, url)
            stack.callback(opened.close)
            return opened

        yield reopen


def message(user: str, number: int = 0) -> Message:
    return Message(user, json.dumps({"user_id": user, "n": number}).encode())


def take(bus: EventBus, count: int) -> list[bytes]:
    """Read until there are `count` records; fewer where no more come."""
    payloads: list[bytes] = []
    deadline = time.monotonic() + PATIENCE
    while len(payloads) < count and time.monotonic() < deadline:
        payloads += [record.payload for record in bus.read(count - len(payloads), timeout=0.5)]
    return payloads


def take_all(bus: EventBus) -> list[bytes]:
    """Read, without a commit, until nothing came for half a second."""
    payloads = take(bus, 1)
    while records := bus.read(100, timeout=0.5):
        payloads += [record.payload for record in records]
    return payloads


def test_what_is_published_is_read_byte_by_byte_and_has_a_position_of_its_own(bus: Open) -> None:
    sent = [message("u1", 1), Message("u2", "ünï©ode \N{SNOWMAN}".encode()), message("u1", 2)]
    reader = bus()
    reader.publish(sent)

    records = []
    while len(records) < 3:
        records += reader.read(3, timeout=1)

    assert sorted(r.payload for r in records) == sorted(m.payload for m in sent)
    assert len({r.position for r in records}) == 3


def test_the_events_of_a_user_keep_their_order(bus: Open) -> None:
    reader = bus()
    for number in range(40):
        reader.publish([message(f"u{number % 4}", number)])

    found = [json.loads(payload) for payload in take(reader, 40)]

    for user in {event["user_id"] for event in found}:
        numbers = [event["n"] for event in found if event["user_id"] == user]
        assert numbers == sorted(numbers)
        assert len(numbers) == 10


def test_a_read_gives_no_more_than_asked_for_and_the_next_one_goes_on(bus: Open) -> None:
    reader = bus()
    reader.publish([message("u1", number) for number in range(5)])

    first, second = take(reader, 2), take(reader, 3)

    assert [json.loads(p)["n"] for p in first + second] == [0, 1, 2, 3, 4]


def test_an_empty_bus_gives_nothing_and_has_no_lag(bus: Open) -> None:
    reader = bus()
    reader.publish([])

    assert reader.read(10, timeout=0.1) == []
    reader.commit()
    assert reader.lag() == 0


def test_what_was_not_committed_comes_again_after_a_restart(bus: Open) -> None:
    reader = bus()
    reader.publish([message("u1", number) for number in range(4)])
    take(reader, 2)
    reader.commit()
    before = take(reader, 2)

    again = take(bus(), 2)

    assert again == before
    assert [json.loads(p)["n"] for p in again] == [2, 3]


def test_what_was_committed_does_not_come_again(bus: Open) -> None:
    reader = bus()
    reader.publish([message("u1", number) for number in range(3)])
    take(reader, 3)
    reader.commit()

    restarted = bus()
    restarted.publish([message("u1", 3)])

    assert [json.loads(p)["n"] for p in take(restarted, 1)] == [3]


def test_lag_counts_what_is_not_committed(bus: Open) -> None:
    reader = bus()
    reader.publish([message("u1", number) for number in range(5)])
    lags = [reader.lag()]
    take(reader, 2)
    lags.append(reader.lag())
    reader.commit()
    lags.append(reader.lag())
    take(reader, 3)
    reader.commit()
    lags.append(reader.lag())

    assert lags == [5, 5, 3, 0]


@pytest.mark.parametrize("payload", [b"", b"\xff\x00{", b"[1, 2", b"x" * 900_000])
def test_a_payload_that_is_no_event_passes_as_it_is(bus: Open, payload: bytes) -> None:
    reader = bus()
    reader.publish([Message("u1", payload)])

    assert take(reader, 1) == [payload]


def test_the_records_of_an_erased_user_are_gone_and_the_others_are_there(bus: Open) -> None:
    writer = bus()
    writer.publish([message("u1", 1), message("u2", 2), message("u1", 3)])
    writer.publish([message("u1", 4)])
    if isinstance(writer, KafkaBus):
        with pytest.raises(CannotErase, match=r"^Kafka removes no single records.*'events-.*retention\.ms"):
            writer.erase("u1")
        return

    erased = writer.erase("u1")

    assert erased == 3
    assert writer.erase("u1") == 0
    assert [json.loads(p)["n"] for p in take_all(bus())] == [2]


def test_erasing_a_user_spares_what_the_others_have_not_yet_read(bus: Open) -> None:
    """A rewritten file could shift the rows behind the erased one, and the next event would be skipped."""
    reader = bus()
    reader.publish([message("u1", 1), message("u2", 2), message("u3", 3)])
    read = take(reader, 2)
    reader.commit()
    with suppress(CannotErase):
        reader.erase("u1")

    restarted = bus()
    read += take_all(restarted)

    assert {json.loads(payload)["n"] for payload in read} >= {2, 3}
    restarted.commit()
    assert restarted.lag() == 0


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1/0", "kafka://127.0.0.1:1/events"])
def test_a_server_that_is_down_is_one_sentence(tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("feature_repo.stream.kafka_bus.SECONDS", 0.5)
    down = open_bus(Workspace(root=tmp_path, store=tmp_path), url)

    with pytest.raises(BusUnavailable, match=r"^the event bus at 127\.0\.0\.1:1, .* did not answer: [^\n]+$"):
        down.lag()
    with pytest.raises(BusUnavailable, match="did not answer"):
        down.publish([message("u1")])
    down.close()


def test_an_address_of_another_kind_is_refused_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(BusUnavailable, match=r"^BUS_URL is redis://.*; got 'host:5672'$"):
        open_bus(Workspace(root=tmp_path, store=tmp_path), "amqp://user:secret@host:5672")
