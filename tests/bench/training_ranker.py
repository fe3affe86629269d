"""A ranker's training set several times larger than a cap on memory, beside the same one trained in memory."""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.rows import Row, at_most, not_measured
from feature_repo.core.console import console
from feature_repo.core.workspace import Workspace

MODULE = "bench.training_ranker_contender"
# Requests of 100 candidates with 300 features: 2.3 GB of float32.
REQUESTS = 19_200
CAP_MB = 700
# Two standard errors of a share of 0.9 in 100 requests.
TOLERANCE = 1.06


@dataclass(frozen=True)
class Trained:
    """Seconds of training, peak resident memory in MB, share of unseen requests whose first candidate is relevant."""

    seconds: float
    peak_mb: float
    found: float


def rows(workspace: Workspace, requests: int = REQUESTS, cap_mb: int = CAP_MB) -> list[Row]:
    """Whether it trains under the cap, whether it would in memory, and what it costs in time and quality."""
    with console.status("training set larger than memory"), tempfile.TemporaryDirectory(dir=workspace.root) as folder:
        written = _run("write", folder, requests)
        if isinstance(written, str):
            return [not_measured("training", "ranker's training set", f"failed: {written}")]
        data_mb = int(written["bytes"]) / 2**20
        disk, memory = (_trained(kind, folder, cap) for kind, cap in (("disk", cap_mb), ("memory", 0)))
        if isinstance(disk, str) or isinstance(memory, str):
            return [
                not_measured("training", "ranker from disk", f"failed: {disk if isinstance(disk, str) else memory}")
            ]
        refused = _trained("memory", folder, cap_mb)
    name, whole = f"ranker from disk, {data_mb:,.0f} MB of candidates", "the same in memory"
    # Three times the cap is what "several times" means here.
    return [
        at_most("training", f"{name}, cap on memory", cap_mb, unit="MB", yardstick=("the data", data_mb), ratio=1 / 3),
        _no_place_in_memory(cap_mb, refused),
        at_most("training", f"{name}, peak", disk.peak_mb, unit="MB", yardstick=(whole, memory.peak_mb), ratio=1 / 2),
        at_most("training", name, disk.seconds, unit="s", yardstick=(whole, memory.seconds), ratio=4),
        at_most(
            "training",
            "unseen requests whose first candidate is relevant, trained in memory",
            memory.found,
            unit="",
            yardstick=("from disk", disk.found),
            ratio=TOLERANCE,
        ),
    ]


def _no_place_in_memory(cap_mb: int, refused: Trained | str) -> Row:
    """The cap is a cap: the same training in memory fails under it."""
    failed = isinstance(refused, str)
    said = refused if isinstance(refused, str) else "it trained: the cap says nothing"
    return Row("training", f"in memory under {cap_mb} MB", float(failed), "failed", said, None, "fails", failed)


def _trained(kind: str, folder: str, cap_mb: int) -> Trained | str:
    done = _run(kind, folder, cap_mb)
    return done if isinstance(done, str) else Trained(**done)


def _run(kind: str, folder: str, number: int) -> dict[str, Any] | str:
    # The cap counts what is reserved: a gigabyte by Arrow's own allocator, 64 MB by each of glibc's arenas. Large
    # blocks come from the kernel one by one and go back when they are freed.
    frugal = {"ARROW_DEFAULT_MEMORY_POOL": "system", "MALLOC_ARENA_MAX": "2", "MALLOC_MMAP_THRESHOLD_": "262144"}
    command = [sys.executable, "-m", MODULE, kind, str(Path(folder)), str(number)]
    done = subprocess.run(command, env={**os.environ, **frugal}, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1][:100]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found
