"""`completejourney` in a workspace of its own, for every benchmark that needs size."""

import os
import subprocess
import sys

from feature_repo.core.console import console
from feature_repo.core.workspace import Workspace


def journey_in(workspace: Workspace) -> Workspace:
    return Workspace(root=workspace.root / "bench", store=workspace.root / "bench" / "store")


def prepare(journey: Workspace) -> str | None:
    """Bring the data set there, where it is not yet; returns what went wrong."""
    with console.status("preparing completejourney"):
        done = subprocess.run(
            [sys.executable, "-m", "feature_repo", "data", "--dataset", "completejourney"],
            env={**os.environ, "BUILD": str(journey.root), "STORE_URL": str(journey.store)},
            capture_output=True,
            text=True,
            check=False,
        )
    return None if done.returncode == 0 else done.stderr.strip()
