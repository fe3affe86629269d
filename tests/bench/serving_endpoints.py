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


def _load(port: int, core: int, bodies: Path, *arguments: object) -> LoadReport:
    words = [sys.executable, "-m", "bench.serving_load", str(port), str(core), str(bodies), *map(str, arguments)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return LoadReport(**json.loads(done.stdout.splitlines()[-1]))
