"""The endpoints that are compared, each a server on one core, and load on them from another."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.serving_load import LoadReport
from bench.serving_store import Served
from serving.process import HOST, free_port, running

OURS, NATIVE, MOUNTED, BARE = "ours", "native", "mounted", "bare"


@dataclass(frozen=True)
class Cores:
    """Which core servers run on, and which the load comes from."""

    server: int
    load: int


def two_cores() -> Cores | None:
    """None where this process may use one core only."""
    allowed = sorted(os.sched_getaffinity(0))
    return Cores(allowed[0], allowed[1]) if len(allowed) > 1 else None


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """Processes that are started here stay on this core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def endpoints(kinds: tuple[str, ...], served: Served, core: int) -> Iterator[dict[str, int]]:
    """Ready servers of these kinds, by port.

    Raises:
        ServerFailed: one did not come up.
    """
    with ExitStack() as stack:
        ports = {}
        for kind in kinds:
            port = ports[kind] = free_port()
            with on_core(core):
                stack.enter_context(running(command_of(kind, port), port=port, environment=served.environment))
        yield ports


def command_of(kind: str, port: int) -> list[str]:
    if kind != OURS:
        return [sys.executable, "-m", "bench.serving_empty", kind, str(port)]
    return [sys.executable, "-m", "serving", "run", "--version", "1", "--host", HOST, "--port", str(port)]


def open_load(port: int, bodies: Path, core: int, *, rate: float, seconds: float) -> LoadReport:
    return _load(port, core, bodies, "open", rate, seconds)


def closed_load(port: int, bodies: Path, core: int, *, connections: int, seconds: float) -> LoadReport:
    return _load(port, core, bodies, "closed", connections, seconds)


def _load(port: int, core: int, bodies: Path, kind: str, amount: float, seconds: float) -> LoadReport:
    return report_from(load_process(port, bodies, core, kind, amount, seconds))


def load_process(
    port: int, bodies: Path, core: int, kind: str, amount: float, seconds: float
) -> "subprocess.Popen[str]":
    """Load that runs beside this process."""
    words = [str(port), str(core), str(bodies), kind, str(amount), str(seconds)]
    command = [sys.executable, "-m", "bench.serving_load", *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def report_from(process: "subprocess.Popen[str]") -> LoadReport:
    """What it saw, when it has ended.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    said, error = process.communicate()
    if process.returncode != 0:
        raise subprocess.CalledProcessError(process.returncode, process.args, said, error)
    return LoadReport(**json.loads(said.splitlines()[-1]))
