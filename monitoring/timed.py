"""What each step of the demo cost: seconds, and the peak memory of its largest process."""

import fcntl
import json
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from feature_repo.core.errors import RecommenderError
from feature_repo.core.workspace import write_json

REPORT = "resources.json"
# getrusage counts in kibibytes on Linux and in bytes on macOS.
BYTES_PER_UNIT = 1 if sys.platform == "darwin" else 1024


@dataclass(frozen=True)
class Cost:
    """One run of one step. Megabytes are millions of bytes."""

    seconds: float
    peak_rss_mb: float
    exit_status: int


def run_timed(command: Sequence[str]) -> Cost:
    """Run a command as a child that shares our terminal, and measure it.

    The peak is the kernel's own figure for the largest single process among the descendants that were waited
    for, where a sampler would miss what happens between two looks; a daemon that outlives its parent is not
    in it. It cannot fall below the size of this process, because the kernel counts a child from before it is
    the command.
    """
    started = time.monotonic()
    try:
        child = subprocess.Popen(command)
    except OSError as error:
        raise RecommenderError(f"cannot start {command[0]!r}: {error.strerror}") from error
    status = _wait(child)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * BYTES_PER_UNIT / 1e6
    return Cost(seconds=round(time.monotonic() - started, 3), peak_rss_mb=round(peak, 1), exit_status=status)


def _wait(child: subprocess.Popen[bytes]) -> int:
    """Wait for the child; its end by signal N is status 128 + N, as a shell says it."""

    def forward(number: int, _: FrameType | None) -> None:
        child.send_signal(number)

    before = signal.signal(signal.SIGTERM, forward)
    try:
        status = child.wait()
    except KeyboardInterrupt:
        # The terminal sent Ctrl-C to the child as well: let it finish its own ending.
        status = child.wait()
    finally:
        signal.signal(signal.SIGTERM, before)
    return 128 - status if status < 0 else status


def record(reports: Path, name: str, cost: Cost) -> None:
    """Set one step in resources.json; steps that end at the same time do not lose each other's figures."""
    reports.mkdir(parents=True, exist_ok=True)
    with (reports / f".{REPORT}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        steps = _steps(reports / REPORT)
        write_json(reports / REPORT, {"steps": {**steps, name: asdict(cost)}})


def _steps(path: Path) -> Mapping[str, Any]:
    """Read the steps so far; a file that a person damaged is started anew, since each run measures again."""
    try:
        steps = json.loads(path.read_text(encoding="utf-8"))["steps"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return steps if isinstance(steps, dict) else {}
