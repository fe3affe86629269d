"""A server whose feature store dies, comes back and slows down while people ask, and whom strangers send anything."""

import http.client
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hostile import PATHS, Hostile, requests
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from killable_redis import KillableRedis
from slow_proxy import SlowProxy, slow_proxy
from steady_load import Answered, steady_load

from feature_repo.core.workspace import Workspace
from serving.process import HOST, call, call_on, free_port, running_server

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server is not installed"),
]

AT = {"timestamp": "1998-07-25T00:00:00Z"}
USERS = [f"u{n}" for n in range(20)]
# Longer than in production, so that what is judged is the server and not how busy the machine is.
DEADLINE_SECONDS, STORE_SECONDS, SLACK_SECONDS = 1.5, 0.5, 1.0
SLOW_SECONDS = 4.0  # of each exchange with the store
RECOVERY_SECONDS = 5.0
EXAMPLES = 200


@dataclass(frozen=True)
class Faulty:
    """A server, the Redis of its features, and the proxy between them."""

    port: int
    redis: KillableRedis
    proxy: SlowProxy


@pytest.fixture(scope="module")
def faulty(copy_of_world: Callable[[Path], Workspace], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faulty]:
    folder, port = tmp_path_factory.mktemp("faulty"), free_port()
    workspace = copy_of_world(folder / "build")
    redis = KillableRedis(folder, port)
    with slow_proxy(port) as proxy, pytest.MonkeyPatch.context() as patch:
        patch.setenv("ONLINE_STORE", "redis")
        patch.setenv("REDIS_URL", f"redis://{HOST}:{proxy.port}/0")
        patch.setenv("SERVE_DEADLINE_MS", str(1e3 * DEADLINE_SECONDS))
        patch.setenv("SERVE_STORE_MS", str(1e3 * STORE_SECONDS))
        redis.start()
        try:
            _materialize(workspace)
            redis.save()
            with running_server(workspace, version="1") as server:
                yield Faulty(server.port, redis, proxy)
        finally:
            redis.kill()


def _materialize(workspace: Workspace) -> None:
    """Fill the Redis that the environment names."""
    words = [sys.executable, "-m", "feature_repo", "materialize", "--until", "held-out"]
    environment = {**os.environ, "BUILD": str(workspace.root), "STORE_URL": str(workspace.store)}
    subprocess.run(words, env=environment, check=True, capture_output=True)


@pytest.fixture(autouse=True)
def whole(faulty: Faulty) -> None:
    """Each test starts with a server that misses nothing."""
    deadline = time.monotonic() + 10
    with steady_load(faulty.port, USERS, clients=1, context=AT) as answers:
        while not (len(answers) >= len(USERS) and not any(a.degraded for a in answers[-len(USERS) :])):
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_no_request_fails_while_redis_is_killed_and_comes_back(faulty: Faulty) -> None:
    with steady_load(faulty.port, USERS, clients=3, context=AT) as answers:
        time.sleep(0.5)
        faulty.redis.kill()
        killed = time.monotonic()
        time.sleep(1.5)
        returning = time.monotonic()
        faulty.redis.start()
        returned = time.monotonic()
        recovered = _wait_for_whole(answers, returned)
        time.sleep(0.5)

    away = [answer for answer in answers if killed < answer.sent and answer.at < returning]
    assert {answer.status for answer in answers} == {200}
    assert not any(answer.degraded for answer in answers if answer.at < killed - 0.1)
    assert len(away) > len(USERS)
    assert all("features" in answer.body["degraded"] for answer in away)
    assert all(answer.body["items"] for answer in away)
    assert recovered - returned < RECOVERY_SECONDS
    assert not any(answer.degraded for answer in answers if answer.sent > recovered)


def _wait_for_whole(answers: list[Answered], since: float) -> float:
    """When an answer arrived that was asked for after `since` and misses nothing."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        found = next((answer for answer in list(answers) if answer.sent > since and not answer.degraded), None)
        if found is not None:
            return found.at
        time.sleep(0.02)
    raise AssertionError("no answer was whole again")


def test_a_store_that_is_slow_never_holds_up_an_answer(faulty: Faulty) -> None:
    with steady_load(faulty.port, USERS, clients=3, context=AT) as answers:
        time.sleep(0.3)
        faulty.proxy.delay = SLOW_SECONDS
        slowed = time.monotonic()
        time.sleep(2.5)
        faulty.proxy.delay = 0.0
        recovered = _wait_for_whole(answers, time.monotonic())

    slow = [answer for answer in answers if slowed < answer.sent < slowed + 2.0]
    assert {answer.status for answer in answers} == {200}
    assert all("features" in answer.body["degraded"] for answer in slow)
    assert max(answer.seconds for answer in answers) < DEADLINE_SECONDS + SLACK_SECONDS
    # Only the first few wait for the store; the others go on without it.
    assert sorted(answer.seconds for answer in slow)[len(slow) // 2] < STORE_SECONDS
    assert recovered - (slowed + 2.5) < RECOVERY_SECONDS + SLOW_SECONDS


@examples(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(request=requests())
def test_nothing_that_anybody_sends_makes_the_service_fail(faulty: Faulty, request: Hostile) -> None:
    connection = http.client.HTTPConnection(HOST, faulty.port, timeout=30)
    try:
        reply = call_on(connection, request.method, request.path, request.body)
    finally:
        connection.close()

    assert reply.status < 500
    if request.method == "POST" and reply.status == 400:
        assert "got" in reply.json()["error"]


@pytest.mark.parametrize("path", PATHS)
def test_answers_are_what_the_services_own_document_says(faulty: Faulty, path: str) -> None:
    described = pytest.importorskip("described_requests", reason="schemathesis is not installed", exc_type=ImportError)
    document = call(faulty.port, "GET", "/openapi.json").json()

    @examples(max_examples=EXAMPLES // 8, deadline=None, suppress_health_check=list(HealthCheck))
    @given(case=described.cases(document, path))
    def holds(case: Any) -> None:
        assert described.status_of(case, faulty.port) < 500

    holds()


@pytest.mark.parametrize(
    "said",
    [
        b"POST /recommend HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{",
        b"POST /recommend HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /recommend HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/9.9\r\n\r\n",
    ],
)
def test_a_connection_that_speaks_nonsense_or_stops_midway_harms_no_other(faulty: Faulty, said: bytes) -> None:
    with socket.create_connection((HOST, faulty.port), timeout=10) as connection:
        connection.sendall(said)
        connection.shutdown(socket.SHUT_WR)
        answer = connection.recv(65_536)

    assert not answer.startswith(b"HTTP/1.1 5")
    with steady_load(faulty.port, USERS, clients=1, context=AT) as answers:
        time.sleep(0.1)
    assert {found.status for found in answers} == {200}
