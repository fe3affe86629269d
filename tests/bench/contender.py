"""One contender in a process of its own, so that its peak memory is its own."""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Measured:
    """Seconds of the work alone, without imports; peak resident memory of the whole process in megabytes."""

    seconds: float
    peak_mb: float
    rows: int


def run_contender(module: str, *arguments: str, environment: Mapping[str, str] | None = None) -> Measured | str:
    """Run `module` as a child that ends with `report`; what it said last, where it failed."""
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments], capture_output=True, text=True, check=False, env=environment
    )
    if done.returncode != 0:
        return (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1][:200]
    return Measured(**json.loads(done.stdout.splitlines()[-1]))


def report(work: Callable[[], Any], rows_of: Callable[[Any], int]) -> None:
    """Time `work` once and print the measurement as the last line."""
    started = time.perf_counter()
    result = work()
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sys.stdout.write(json.dumps({"seconds": seconds, "peak_mb": peak, "rows": rows_of(result)}) + "\n")
