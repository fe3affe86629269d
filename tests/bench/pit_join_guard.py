"""A contender that may take more time or memory than there is: watched from outside, and stopped."""

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bench.contender import Measured

READY = "ready"


@dataclass(frozen=True)
class Limits:
    """`seconds` of work, from when the contender said READY; `memory_mb` of resident memory."""

    seconds: float
    memory_mb: float


@dataclass(frozen=True)
class Stopped:
    """A contender that reached a limit: its `seconds` and `peak_mb` are lower bounds of what it needs."""

    seconds: float
    peak_mb: float
    limit: str


def available_mb() -> float:
    """Megabytes of memory that nobody on this machine uses now."""
    return _field(Path("/proc/meminfo"), "MemAvailable")


def run_guarded(module: str, *arguments: str, limits: Limits, every: float = 0.1) -> Measured | Stopped | str:
    """Run `module`, which says READY before its work and ends with `report`; kill it where it reaches a limit."""
    with tempfile.TemporaryFile("w+") as errors:
        child = subprocess.Popen(
            [sys.executable, "-m", module, *arguments], stdout=subprocess.PIPE, stderr=errors, text=True
        )
        assert child.stdout is not None
        with child, child.stdout:
            ready = child.stdout.readline().strip() == READY
            stopped = _watch(child, limits, every) if ready else None
            said = child.stdout.read()
        if stopped:
            return stopped
        if child.returncode != 0:
            errors.seek(0)
            return (errors.read().strip().splitlines() or [f"exit status {child.returncode}"])[-1][:200]
        return Measured(**json.loads(said.splitlines()[-1]))


def _watch(child: subprocess.Popen[str], limits: Limits, every: float) -> Stopped | None:
    started, peak = time.monotonic(), 0.0
    while child.poll() is None:
        seconds, peak = time.monotonic() - started, max(peak, _resident_mb(child.pid))
        for reached, limit in (
            (peak > limits.memory_mb, f"memory above {limits.memory_mb:,.0f} MB"),
            (seconds > limits.seconds, f"time above {limits.seconds:,.0f} s"),
        ):
            if reached:
                child.kill()
                return Stopped(seconds, peak, limit)
        time.sleep(every)
    return None


def _resident_mb(pid: int) -> float:
    try:
        return _field(Path(f"/proc/{pid}/status"), "VmRSS")
    except (FileNotFoundError, StopIteration):  # it has just ended
        return 0.0


def _field(path: Path, name: str) -> float:
    line = next(line for line in path.read_text().splitlines() if line.startswith(f"{name}:"))
    return float(line.split()[1]) / 1024
