"""Child processes, ended on every way out.

A child runs in a session of its own, so that whatever it starts ends with it and a Ctrl-C reaches it only
through us. `ending_on_signals` turns SIGTERM and a closed terminal into an exception, so that `with` blocks
unwind.
"""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import httpx

from feature_repo.core.errors import RecommenderError
from k8s.loopback import LOOPBACK, loopback_client

# How long a process may take to end by itself, in seconds: the service lets requests in flight finish.
PATIENCE_SECONDS = 12.0
# prctl(PR_SET_PDEATHSIG, SIGTERM), then become the command.
_ASK_FOR_SIGTERM = "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 15); os.execvp(sys.argv[1], sys.argv[1:])"


class ProcessError(RecommenderError):
    """A process that a rollout needs did not start, or ended early."""


@dataclass(frozen=True)
class Child:
    """A running process with the file that it writes to."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def check_alive(self) -> None:
        """Raise with the last lines of its log if it has ended."""
        if (status := self.process.poll()) is not None:
            raise ProcessError(f"{self.name} ended with status {status}; {self.log} says: {_tail(self.log)}")


@contextmanager
def running(name: str, command: Sequence[str], *, log: Path, env: Mapping[str, str] | None = None) -> Iterator[Child]:
    """Run a command while the block lasts; its output goes to `log`. `env` comes on top of our own environment."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            _ending_with_us(command),
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            env={**os.environ, **env} if env else None,
        )
    try:
        yield Child(name, process, log)
    finally:
        stop(process)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a process and whatever it started: politely first, then for certain. Safe to repeat."""
    _signal_group(process, signal.SIGTERM)
    try:
        process.wait(timeout=PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        pass
    finally:
        _signal_group(process, signal.SIGKILL)
        process.wait()


def wait_ready(child: Child, url: str, *, version: str, patience_seconds: float) -> None:
    """Wait until `/readyz` is 200 and names the version that was asked for."""
    deadline = time.monotonic() + patience_seconds
    told = "no answer"
    with loopback_client(timeout_seconds=2.0) as client:
        while time.monotonic() < deadline:
            child.check_alive()
            try:
                answer = client.get(f"{url}/readyz")
            except httpx.HTTPError:
                time.sleep(0.1)
                continue
            told = f"{answer.status_code} {answer.text[:200]}"
            if answer.status_code == 200:
                return _check_version(child, answer, version)
            time.sleep(0.1)
    raise ProcessError(f"{child.name}: expected /readyz to be 200 within {patience_seconds:.0f} s; got {told}")


def wait_listening(child: Child, port: int, *, patience_seconds: float) -> None:
    """Wait until a connection to the child's port is taken."""
    deadline = time.monotonic() + patience_seconds
    while time.monotonic() < deadline:
        child.check_alive()
        with closing(socket.socket()) as one:
            if one.connect_ex((LOOPBACK, port)) == 0:
                return
        time.sleep(0.05)
    raise ProcessError(f"{child.name}: expected port {port} to be open within {patience_seconds:.0f} s")


def _check_version(child: Child, answer: httpx.Response, version: str) -> None:
    try:
        served = answer.json()["model_version"]
    except (ValueError, KeyError, TypeError):
        served = None
    if str(served) != version:
        raise ProcessError(f"{child.name}: expected /readyz to report version {version}; got {answer.text[:200]}")


@contextmanager
def ending_on_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP raise SystemExit(128 + number) once, then are ignored so that nothing cuts the
    cleaning up.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    caught = (signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, _leave) for number in caught}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _ending_with_us(command: Sequence[str]) -> list[str]:
    """On Linux the kernel ends a child whose parent is gone: SIGKILL leaves us no chance to do it."""
    if sys.platform != "linux":
        return list(command)
    return [sys.executable, "-I", "-S", "-c", _ASK_FOR_SIGTERM, *command]


def _leave(number: int, _frame: FrameType | None) -> None:
    for later in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(later, signal.SIG_IGN)
    raise SystemExit(128 + number)


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    # The group's number is the process's own: it leads its session. It lives until its last member has ended.
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return


def _tail(log: Path, lines: int = 5) -> str:
    text = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return " / ".join(text[-lines:]) or "nothing"
