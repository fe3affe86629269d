"""A server as a process whose items change, whose list of blocked items changes, and which is told to leave."""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from feature_repo.core.workspace import Workspace
from feature_repo.store.item_table import newest_snapshot, publish
from serving.items.blocked_file import block, blocked_path, unblock
from serving.process import HOST, Reply, call, free_port, is_ready, stop
from serving.request_log import read_request_log

pytestmark = pytest.mark.integration

AT = {"timestamp": "1998-07-25T00:00:00Z"}
REFRESH_SECONDS = 0.2
CLIENTS = 6
KEY = "s3cret"


@contextmanager
def server(workspace: Workspace, **settings: str) -> Iterator[tuple[int, "subprocess.Popen[bytes]"]]:
    """A server that lives, with these SERVE_ settings: its port and its process."""
    port = free_port()
    environment = {**os.environ, "BUILD": str(workspace.root), "STORE_URL": str(workspace.store), **settings}
    command = [sys.executable, "-m", "serving", "run", "--version", "1", "--port", str(port)]
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, env=environment, stderr=said, stdin=subprocess.DEVNULL)
        try:
            seconds_until(lambda: lives(port) or process.poll() is not None, at_most=100)
            said.seek(0)
            assert process.poll() is None, said.read().decode()
            yield port, process
        finally:
            stop(process)


def lives(port: int) -> bool:
    try:
        return call(port, "GET", "/livez").status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False


@pytest.fixture(scope="module")
def workspace(copy_of_world: Callable[[Path], Workspace], tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return copy_of_world(tmp_path_factory.mktemp("operations") / "build")


@pytest.fixture(scope="module")
def port(workspace: Workspace) -> Iterator[int]:
    settings = {"SERVE_REFRESH_SECONDS": str(REFRESH_SECONDS), "SERVE_DRAIN_SECONDS": "0"}
    with server(workspace, **settings) as (port, _):
        yield port


def ask(port: int, k: int = 20) -> Reply:
    return call(port, "POST", "/recommend", json.dumps({"user_id": "u3", "k": k, "context": AT}).encode())


def shown(port: int) -> list[str]:
    return [item["item_id"] for item in ask(port).json()["items"]]


def counted(port: int, series: str) -> float:
    text = call(port, "GET", "/metrics").body.decode()
    found = re.search(rf"^{re.escape(series)} (\S+)$", text, re.MULTILINE)
    assert found, series
    return float(found[1])


def seconds_until(holds: Callable[[], bool], *, at_most: float) -> float:
    started = time.monotonic()
    while not holds():
        assert time.monotonic() - started < at_most
        time.sleep(0.02)
    return time.monotonic() - started


def items_with(workspace: Workspace, new: str) -> pa.Table:
    """The items of the newest snapshot and one more, which is met as often as the most popular of them."""
    snapshot = newest_snapshot(workspace)
    with pa.memory_map(str(workspace.snapshots / snapshot.file)) as file:
        items = pa.ipc.open_file(file).read_all()
    top = items.slice(pc.index(items["item_event_count"], pc.max(items["item_event_count"])).as_py(), 1)
    return pa.concat_tables([items, top.set_column(top.schema.get_field_index("item_id"), "item_id", pa.array([new]))])


def test_a_new_item_is_recommended_within_one_refresh(workspace: Workspace, port: int) -> None:
    before, as_of = shown(port), newest_snapshot(workspace).as_of

    publish(items_with(workspace, "brand-new"), workspace, as_of=as_of)
    took = seconds_until(lambda: "brand-new" in shown(port), at_most=10)

    assert "brand-new" not in before
    assert took < REFRESH_SECONDS + 3
    assert counted(port, 'item_table_refreshes_total{outcome="loaded"}') == 1
    assert counted(port, "item_table_age_seconds") == pytest.approx(time.time() - as_of.timestamp(), abs=5)


def test_a_broken_snapshot_leaves_the_items_as_they_are_until_it_is_whole(workspace: Workspace, port: int) -> None:
    refused = 'item_table_refreshes_total{outcome="refused"}'

    path = publish(items_with(workspace, "late"), workspace, as_of=newest_snapshot(workspace).as_of)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    seconds_until(lambda: counted(port, refused) >= 1, at_most=10)
    meanwhile = shown(port)
    path.write_bytes(whole)

    assert meanwhile
    assert "late" not in meanwhile
    assert seconds_until(lambda: "late" in shown(port), at_most=10) < REFRESH_SECONDS + 3


def test_a_blocked_item_is_gone_within_a_second_and_comes_back(workspace: Workspace, port: int) -> None:
    item = shown(port)[0]
    command = [sys.executable, "-m", "serving", "block", item]
    environment = {**os.environ, "STORE_URL": str(workspace.store)}

    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    took = seconds_until(lambda: item not in shown(port), at_most=10)
    similar = json.dumps({"item_id": "i1", "k": 50}).encode()
    similar_ids = [found["item_id"] for found in call(port, "POST", "/similar", similar).json()["items"]]

    assert done.stdout == "blocked 1; 1 on the list\n"
    assert took < 1
    assert item not in similar_ids
    assert counted(port, "blocked_items") == 1
    assert unblock(blocked_path(workspace, None), [item]) == 0
    assert seconds_until(lambda: item in shown(port), at_most=10) < 1


@dataclass
class Load:
    """What clients saw that ask one request after another until a balancer would send them elsewhere."""

    answered: list[tuple[float, int, str]] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    unready_at: float | None = None

    def balance(self, port: int) -> None:
        """Look at /readyz, as what balances load does."""
        while is_ready(port):
            time.sleep(0.05)
        self.unready_at = time.monotonic()

    def client(self, port: int) -> None:
        connection = http.client.HTTPConnection(HOST, port, timeout=30)
        body = json.dumps({"user_id": "u3", "k": 5, "context": AT}).encode()
        while self.unready_at is None:
            try:
                connection.request("POST", "/recommend", body, {"X-API-Key": KEY})
                reply = connection.getresponse()
                answer = json.loads(reply.read())
                self.answered.append((time.monotonic(), reply.status, answer["request_id"]))
            except (OSError, http.client.HTTPException) as error:
                self.lost.append(repr(error))
                connection.close()
        connection.close()


@dataclass(frozen=True)
class Life:
    """A server with a key whose list of blocked items came late, and which was told to leave under load."""

    unready: Reply
    seconds_to_ready: float
    keyless: Reply
    load: Load
    told_at: float
    status: int


@pytest.fixture(scope="module")
def life(workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Life:
    path, load = tmp_path_factory.mktemp("blocked") / "blocked.csv", Load()
    settings = {"SERVE_BLOCKED": str(path), "SERVE_API_KEY": KEY, "SERVE_DRAIN_SECONDS": "1"}
    with server(workspace, **settings) as (port, process), ThreadPoolExecutor(CLIENTS + 1) as pool:
        unready = call(port, "GET", "/readyz")
        block(path, ["i1"], now=newest_snapshot(workspace).as_of)
        seconds_to_ready = seconds_until(lambda: is_ready(port), at_most=10)
        keyless = ask(port)
        balancer = pool.submit(load.balance, port)
        clients = [pool.submit(load.client, port) for _ in range(CLIENTS)]
        time.sleep(0.5)
        told_at = time.monotonic()
        process.send_signal(signal.SIGTERM)
        status = process.wait(20)
        for future in (balancer, *clients):
            future.result(20)
    return Life(unready, seconds_to_ready, keyless, load, told_at, status)


def test_a_server_told_to_leave_under_load_loses_no_request(life: Life, workspace: Workspace) -> None:
    load = life.load

    logged = set(read_request_log(workspace)["request_id"].to_pylist())

    assert load.lost == []
    assert {code for _, code, _ in load.answered} == {200}
    assert load.unready_at is not None
    assert any(at > life.told_at for at, _, _ in load.answered)
    assert {request_id for _, _, request_id in load.answered} <= logged
    assert life.status == 0


def test_a_server_that_never_read_its_list_of_blocked_items_is_unready_until_it_has(life: Life) -> None:
    assert (life.unready.status, life.unready.json()["ready"]) == (503, False)
    assert life.seconds_to_ready < 1


def test_a_request_without_the_key_is_refused(life: Life) -> None:
    assert life.keyless.status == 401
    assert "a request needs one of this service's keys" in life.keyless.json()["error"]
