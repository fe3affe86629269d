"""One run of all models for each protocol and seed, in a process of its own; what is finished is kept.

A finished run is a file whose name ends in a hash over settings, data and code: a killed benchmark goes on where it
was, and none is shown figures that other code has made.
"""

import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.quality_data import LCFN_SHA256
from bench.quality_protocols import Protocol
from feature_repo.core.errors import RecommenderError
from feature_repo.core.workspace import PROJECT, Workspace

Array = np.ndarray[Any, Any]

MODULE = "bench.quality_contender"
CODE = ("training/static", "training/retrieval", "training/ranking", "training/evaluation")
ALSO = ("tests/bench/quality_contender.py", "tests/bench/quality_data.py", "training/settings.py")


class RunFailed(RecommenderError):
    """A run in a process of its own ended without a result."""


@dataclass(frozen=True)
class Run:
    """One seed: seconds and peak memory of the two stages; of every model and metric the values of the users [u]."""

    seconds: float
    peak_mb: float
    values: dict[str, dict[str, Array]]


def run_of(protocol: Protocol, split: str, seed: int, workspace: Workspace, *, on_step: Callable[[str], None]) -> Run:
    """The run that is there already, or a new one.

    Raises:
        RunFailed: the process ended with an error; its last line is in the sentence.
    """
    path = workspace.root / "quality" / f"{protocol.name}-{split}-{seed}-{fingerprint(protocol, split)}.json"
    if not path.exists():
        _start(protocol.name, split, str(seed), str(path), str(workspace.root), on_step=on_step)
    found = json.loads(path.read_text(encoding="utf-8"))
    values = {
        model: {name: np.array(of_users) for name, of_users in metrics.items()}
        for model, metrics in found["values"].items()
    }
    return Run(found["seconds"], found["peak_mb"], values)


def fingerprint(protocol: Protocol, split: str) -> str:
    """A hash over everything that the figures depend on."""
    digest = hashlib.sha256(split.encode())
    digest.update(protocol.settings.model_dump_json().encode())
    digest.update("".join(member.model_dump_json() for member in protocol.beside).encode())
    digest.update(json.dumps(LCFN_SHA256).encode())
    # The chosen settings are in the hash already, those of one protocol at a time.
    files = [path for folder in CODE for path in sorted((PROJECT / folder).glob("*.py")) if path.name != "chosen.py"]
    for path in [*files, *(PROJECT / name for name in ALSO)]:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def _start(*arguments: str, on_step: Callable[[str], None]) -> None:
    command = [sys.executable, "-m", MODULE, *arguments]
    # Errors go to a file: a pipe that nobody reads would stop a process that says much.
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            on_step(line.strip())
        process.wait()
        errors.seek(0)
        said = errors.read().strip().splitlines()
    if process.returncode != 0:
        raise RunFailed(f"{' '.join(arguments[:3])}: {(said or [f'exit status {process.returncode}'])[-1][:300]}")
    if not Path(arguments[3]).exists():
        raise RunFailed(f"{' '.join(arguments[:3])}: the run ended without a result")
