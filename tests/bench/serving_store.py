"""A workspace that a server can be started on: the bundle and items of the world of that size, users in a real store.

`python -m bench.serving_store USERS` writes the users of a file into the online store that the environment names.
"""

import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.serving_graph import world
from bench.serving_graph_world import NOW_US
from feature_repo.core.console import console
from feature_repo.core.workspace import Workspace
from feature_repo.dataset.split import from_microseconds

DATASET = """
name: bench-serving
events:
  path: events.csv
  columns: {user_id: user, item_id: item, timestamp: at}
  event_type: view
items: {path: items.csv, key: item, categorical: [category], numeric: [price], text: [title]}
weights: {view: 1}
repeat_consumption: false
"""
SLATE = 10
STEP_US = 1_000_000


@dataclass(frozen=True)
class Served:
    """A workspace with a filled store, the world that its bundle and items are of, and the bodies of requests."""

    workspace: Workspace
    world: Path
    bodies: Path
    environment: dict[str, str]


def served_world(workspace: Workspace, items: int, **environment: str) -> Served:
    """Anew, so that no log of an earlier run is in it. `environment` may name another online store.

    Raises:
        subprocess.CalledProcessError: a step failed.
    """
    made = world(workspace, items)
    root = workspace.root / "bench-serving"
    shutil.rmtree(root, ignore_errors=True)
    store = root / "store"
    store.mkdir(parents=True)
    (store / "snapshots").symlink_to(made / "store" / "snapshots")
    (root / "bundles").mkdir()
    (root / "bundles" / "1").symlink_to(made / "bundle")
    (root / "dataset.yaml").write_text(DATASET)
    chosen = {**os.environ, "BUILD": str(root), "STORE_URL": str(store), **environment}
    chosen |= {"DATASET": str(root / "dataset.yaml"), "RECOMMENDER_PSEUDONYM_KEY": "a key of a benchmark"}
    for words in (["feature_repo", "apply"], ["bench.serving_store", str(made / "users.json")]):
        with console.status(f"serving: {words[0]}"):
            subprocess.run([sys.executable, "-m", *words], env=chosen, check=True, capture_output=True, text=True)
    bodies = root / "bodies.jsonl"
    bodies.write_bytes(b"\n".join(body_of(n) for n in range(len(json.loads((made / "users.json").read_text())))))
    return Served(Workspace(root=root, store=store), made, bodies, chosen)


def body_of(number: int) -> bytes:
    """The request of one user, at a moment shortly after all that the world knows."""
    moment = from_microseconds(NOW_US + number * STEP_US).isoformat()
    return json.dumps({"user_id": f"u{number}", "k": SLATE, "context": {"timestamp": moment}}).encode()


def fill(users: list[dict[str, Any]]) -> None:
    """Write the users' rows into the online store."""
    from feature_repo.stream.online_views import open_views

    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        views = open_views(Workspace.from_env())
        rows = {
            view: [
                {"user_id": f"u{n}", "event_timestamp": NOW_US, **{name: row.get(name) for name in names}}
                for n, row in enumerate(users)
            ]
            for view, names in views.views.items()
        }
        views.push(rows)


if __name__ == "__main__":
    fill(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
