"""The graph of an answer in one process: a user's row in memory in, a slate out; at two sizes of the catalogue.

Every stage stands beside the bare call that it cannot be faster than, measured in the same process on the same input.
The worlds are made once, and again when the code that makes them changes.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from bench import serving_graph_world
from bench.rows import Row, at_most, not_measured, within
from feature_repo.core.console import console
from feature_repo.core.workspace import Workspace
from training import bundle, settings

ITEMS, MANY = 68_509, 1_000_000
FLOOR_MS, GOAL_MS = 3.0, 1.0
MEMORY_MB = 700.0  # of a whole serving process
LIMITS = {
    "query": "the query tower alone, ONNX",
    "two-tower, list": "faiss alone, of so many items",
    "merge": "the sorted rows of all lists",
    "features": "a copy of the matrix",
    "rank": "inplace_predict of the same matrix",
}
LIMIT_OF = {"two-tower, list": "two-tower, limit"}
WHOLE = "user's row to slate, p50"

Measured = dict[str, Any]


def rows(workspace: Workspace) -> list[Row]:
    """One row for each bound, and one for each stage."""
    small, large = (measure(workspace, items) for items in (ITEMS, MANY))
    if isinstance(small, str):
        return [not_measured("serving", WHOLE, small)]
    found = _of_one_size(small)
    if isinstance(large, str):
        return [*found, not_measured("serving", f"{WHOLE}, {MANY:,} items", large)]
    name, beside = f"{WHOLE}, {MANY:,} items", (f"{ITEMS:,} items", _ms(small, "whole"))
    return [*found, at_most("serving", name, _ms(large, "whole"), unit="ms", yardstick=beside, ratio=2)]


def _of_one_size(found: Measured) -> list[Row]:
    limits = sum(_ms(found, LIMIT_OF.get(stage, f"{stage}, limit")) for stage in ("query", "two-tower, list", "rank"))
    size = f"{found['items']:,} items, {found['candidates']} candidates, {found['features']} features"
    bare = ("ONNX, faiss and inplace_predict alone", limits)
    whole = [
        within("serving", f"{WHOLE}, {size}{note}", _ms(found, "whole"), unit="ms", yardstick=bare, limit=limit)
        for note, limit in (("", FLOOR_MS), (" (goal)", GOAL_MS))
    ]
    memory = within(
        "serving",
        "resident memory of the graph alone",
        found["resident_mb"],
        unit="MB",
        yardstick=("bound of a whole serving process", MEMORY_MB),
        limit=MEMORY_MB,
    )
    stages = [_stage(found, name) for name in found["seconds"] if name != "whole" and not name.endswith("limit")]
    return [*whole, memory, *stages]


def _stage(found: Measured, name: str) -> Row:
    """A stage has no bound of its own."""
    value, limit = _ms(found, name), LIMIT_OF.get(name, f"{name}, limit")
    if limit in found["seconds"]:
        return Row("serving", f"stage: {name}", value, "ms", LIMITS[name], _ms(found, limit), "", holds=True)
    return Row("serving", f"stage: {name}", value, "ms", "the whole answer", _ms(found, "whole"), "", holds=True)


def _ms(found: Measured, name: str) -> float:
    return 1e3 * float(found["seconds"][name])


def measure(workspace: Workspace, items: int) -> Measured | str:
    """What the contender found, or why there is nothing."""
    try:
        folder = world(workspace, items)
        with console.status(f"serving: the graph alone, {items:,} items"):
            said = _run("bench.serving_graph_contender", str(folder))
    except subprocess.CalledProcessError as error:
        return (error.stderr.strip().splitlines() or [f"exit status {error.returncode}"])[-1][:200]
    measured: Measured = json.loads(said.splitlines()[-1])
    return measured


def world(workspace: Workspace, items: int) -> Path:
    """The folder of a bundle, items and users of this size.

    Raises:
        subprocess.CalledProcessError: it could not be made.
    """
    # A bundle holds the settings, so one that was made by other ones cannot be opened.
    sources = (serving_graph_world.__file__, bundle.__file__, settings.__file__)
    made_by = hashlib.sha256(b"".join(Path(source).read_bytes() for source in sources)).hexdigest()
    folder, mark = workspace.root / f"bench-graph-{items}", "made_by"
    if not (folder / mark).exists() or (folder / mark).read_text() != made_by:
        shutil.rmtree(folder, ignore_errors=True)
        with console.status(f"serving: a bundle of {items:,} items"):
            _run("bench.serving_graph_world", str(folder), str(items))
        (folder / mark).write_text(made_by)
    return folder


def _run(module: str, *arguments: str) -> str:
    # One BLAS thread, as in a server: a second one is woken for longer than these products take.
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments], capture_output=True, text=True, check=True, env=environment
    )
    return done.stdout
