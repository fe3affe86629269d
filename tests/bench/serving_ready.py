"""How long a server takes from the start of its process to its first answer, beside imports that nobody can avoid."""

import subprocess
import sys
import time
from contextlib import nullcontext

from bench.rows import Row, at_most, not_measured
from bench.serving_endpoints import OURS, command_of
from bench.serving_store import Served
from feature_repo.core.console import console
from feature_repo.core.errors import RecommenderError
from serving.probe import BARE_IMPORTS
from serving.process import free_port, running

ROUNDS = 3
RATIO = 1.5
NAME = "seconds from process start to ready"
FEAST = "import feast"


def rows(served: Served, rounds: int = ROUNDS) -> list[Row]:
    """The best of rounds in turns: files are in memory and bytecode is compiled from the second on."""
    try:
        with console.status("serving: starts") if rounds > 1 else nullcontext():
            found = [(_start(served), _import(BARE_IMPORTS), _import(FEAST)) for _ in range(rounds)]
    except RecommenderError as error:
        return [not_measured("serving", NAME, str(error))]
    ours, libraries, feast = (min(column) for column in zip(*found, strict=True))
    return [
        at_most("serving", NAME, ours, unit="s", yardstick=(BARE_IMPORTS, libraries), ratio=RATIO),
        at_most("serving", f"{NAME} (goal)", ours, unit="s", yardstick=(FEAST, feast), ratio=1.0),
    ]


def _start(served: Served) -> float:
    port = free_port()
    with running(command_of(OURS, port), port=port, environment=served.environment) as seconds:
        return seconds


def _import(words: str) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", words], check=True, stdin=subprocess.DEVNULL, capture_output=True)
    return time.perf_counter() - started
