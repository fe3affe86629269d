"""Events through a bus into an online store: the rows are those that a batch over all events gives."""

import multiprocessing
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from servers import redis_server
from streamed_shop import StreamedShop, build_shop, consume_until_killed

from feature_repo.core.workspace import Workspace
from feature_repo.store.online import open_online_reader
from feature_repo.store.open import quiet_feast
from feature_repo.stream.bus import BusUnavailable
from feature_repo.stream.connect import open_bus
from feature_repo.stream.online_views import open_views
from feature_repo.stream.run import Limits, Progress, open_consumer, stream
from serving.inbox import Inbox

KILLS = 8
pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore:On demand feature view is an experimental feature:RuntimeWarning"),
    pytest.mark.filterwarnings("ignore:fetch_arrow_table:DeprecationWarning"),
]


@pytest.fixture(scope="module")
def redis_shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StreamedShop]:
    """Online store and bus in one Redis; what was consumed is not recommended again."""
    folder = tmp_path_factory.mktemp("redis_shop")
    with redis_server(folder) as url, pytest.MonkeyPatch.context() as patch:
        patch.setenv("ONLINE_STORE", "redis")
        patch.setenv("REDIS_URL", url)
        patch.setenv("BUS_URL", f"{url}?stream=shop")
        quiet_feast()
        yield build_shop(folder, repeat=False)


def online_rows(workspace: Workspace, users: list[str]) -> dict[str, dict[str, Any]]:
    """Every streamed feature of `users`, from Feast."""
    views = open_views(workspace)
    names = {name for features in views.views.values() for name in features}
    reader = open_online_reader(workspace)
    return {user: {n: v for n, v in reader.user_row(user).items() if n in names} for user in users}


def command(workspace: Workspace, *options: str) -> subprocess.Popen[str]:
    env = {**os.environ, "BUILD": str(workspace.root), "STORE_URL": str(workspace.store)}
    words = [sys.executable, "-m", "feature_repo", "stream", *options]
    return subprocess.Popen(words, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_kill_9_at_random_moments_loses_nothing_and_counts_nothing_twice(redis_shop: StreamedShop) -> None:
    """Real processes, killed one after another while events come in; at the end the rows are those of a batch."""
    rng = random.Random(1)
    messages = redis_shop.messages()
    rng.shuffle(messages)  # late and out of order, as phones send them
    messages = messages[::10] + messages  # and some of them twice
    parts = [messages[part :: KILLS + 1] for part in range(KILLS + 1)]
    bus = open_bus(redis_shop.workspace)
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["feature_repo.stream.run", "feature_repo.store.materialize"])
    for part in parts[1:]:
        bus.publish(part)
        consumer = processes.Process(target=consume_until_killed, args=(redis_shop.workspace,))
        consumer.start()
        left = bus.lag()
        _until(lambda: bus.lag() < left)  # noqa: B023 - called at once
        time.sleep(rng.random() * 0.1)
        consumer.kill()
        consumer.join()
        assert consumer.exitcode == -signal.SIGKILL
    bus.publish(parts[0])  # since a fast machine may have left nothing to do

    done = stream(redis_shop.workspace, Limits(once=True), show=print)

    assert done.lag == 0
    assert 0 < done.counts.applied < len(redis_shop.late)
    expected = redis_shop.expected()
    assert online_rows(redis_shop.workspace, sorted(expected)) == expected
    bus.close()


def test_a_second_consumer_is_refused_and_sigterm_ends_the_first_with_its_counts(redis_shop: StreamedShop) -> None:
    first = command(redis_shop.workspace)
    assert first.stdout is not None
    began = first.stdout.readline()

    with pytest.raises(BusUnavailable, match="another stream consumer runs"), open_consumer(redis_shop.workspace):
        pass
    first.send_signal(signal.SIGTERM)
    ended, failed = first.communicate(timeout=60)

    assert first.returncode == 0, failed
    line = r"stream read=\d+ applied=\d+ repeated=\d+ late=\d+ erased=\d+ refused=\d+ lag=\d+ rate=\d+/s\n"
    assert re.fullmatch(line, began)
    assert re.fullmatch(line, ended)


def test_the_folder_of_received_events_streams_into_sqlite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a laptop does: no server, POST /events writes files, and the stream counts them."""
    from serving.events import Event

    for name in ("ONLINE_STORE", "REDIS_URL", "BUS_URL"):
        monkeypatch.delenv(name, raising=False)
    quiet_feast()
    shop = build_shop(tmp_path, repeat=True)
    inbox = Inbox(shop.workspace.received, remembered=10)
    for start in range(0, len(shop.late), 100):
        inbox.receive([_received(Event, event) for event in shop.late[start : start + 100]])
    shown: list[Progress] = []

    done = stream(shop.workspace, Limits(batch=64, once=True), show=shown.append, every=0)

    assert (done.counts.applied, done.counts.read, done.lag) == (len(shop.late), len(shop.late), 0)
    assert len(shown) >= len(shop.late) // 64
    expected = shop.expected()
    assert "seen_items" not in next(iter(expected.values()))
    assert online_rows(shop.workspace, sorted(expected)) == expected
    assert stream(shop.workspace, Limits(once=True), show=shown.append).counts.read == 0


def _received(kind: Any, event: dict[str, Any]) -> Any:
    from datetime import datetime

    rest = {"request_id": None, "position": None, "consent": None, "context": {}}
    return kind(**{**event, "timestamp": datetime.fromisoformat(event["timestamp"]), **rest})


def _until(holds: Any, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)
