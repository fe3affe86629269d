"""A server as a child process: started, waited for, and always stopped."""

import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

from feature_repo.core.errors import RecommenderError
from feature_repo.core.workspace import Workspace

HOST = "127.0.0.1"
START_TIMEOUT_SECONDS = 120.0
STOP_TIMEOUT_SECONDS = 20.0


class ServerFailed(RecommenderError):
    """A server that was started did not come up, or did not answer."""


@dataclass(frozen=True)
class RunningServer:
    """A server that is ready, and how long it took from process start to that."""

    port: int
    ready_seconds: float


@contextmanager
def running_server(workspace: Workspace, *, version: str, variant: str = "stable") -> Iterator[RunningServer]:
    """`python -m serving run` on a free port of this machine, ready inside the block and gone after it.

    Raises:
        ServerFailed: it ended, or was not ready in time.
    """
    port = free_port()
    options = ["--version", version, "--variant", variant, "--port", str(port), "--host", HOST]
    command = [sys.executable, "-m", "serving", "run", *options]
    # Nobody balances load to this one, so it need not wait at its end to be taken out.
    environment = {"SERVE_DRAIN_SECONDS": "0", **os.environ}
    environment |= {"BUILD": str(workspace.root), "STORE_URL": str(workspace.store)}
    with running(command, port=port, environment=environment) as ready_seconds:
        yield RunningServer(port, ready_seconds)


@contextmanager
def running(command: list[str], *, port: int, environment: Mapping[str, str]) -> Iterator[float]:
    """Run `command` until the block ends; yields the seconds from its start to ready on `port`."""
    with tempfile.TemporaryFile() as output:
        started = time.perf_counter()
        process = subprocess.Popen(
            command, env=dict(environment), stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
        )
        try:
            wait_until_ready(process, port, output)
            yield time.perf_counter() - started
        finally:
            stop(process)


def wait_until_ready(process: "subprocess.Popen[bytes]", port: int, output: IO[bytes]) -> None:
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise ServerFailed(f"the server ended with status {process.returncode}: {_last_line(output)}")
        if is_ready(port):
            return
        time.sleep(0.05)
    raise ServerFailed(f"the server must be ready in {START_TIMEOUT_SECONDS:.0f} s: {_last_line(output)}")


def stop(process: "subprocess.Popen[bytes]") -> None:
    """Ask the process to end; insist when it does not."""
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def is_ready(port: int) -> bool:
    try:
        return call(port, "GET", "/readyz").status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False


@dataclass(frozen=True)
class Reply:
    """What a server answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


def call(port: int, method: str, path: str, body: bytes | None = None) -> Reply:
    """One request on a connection of its own."""
    connection = http.client.HTTPConnection(HOST, port, timeout=30)
    try:
        return call_on(connection, method, path, body)
    finally:
        connection.close()


def call_on(connection: http.client.HTTPConnection, method: str, path: str, body: bytes | None = None) -> Reply:
    connection.request(method, path, body=body, headers={"Content-Type": "application/json"} if body else {})
    response = connection.getresponse()
    return Reply(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        return int(listener.getsockname()[1])


def _last_line(output: IO[bytes]) -> str:
    output.seek(0)
    lines = output.read().decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else "it printed nothing"
