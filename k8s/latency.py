"""`python -m k8s latency`: latency.json of the challenger, which the gate `latency` of a release asks for.

It is measured by the same command as on a laptop, `python -m serving probe`: a server of its own answers held-out
requests, one after another, in the pod of the job. These requests are nobody's, so what such a server writes into the
store (request log, received events, audit) goes into a folder that is removed: no click rate counts them.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from feature_repo.core.errors import RecommenderError
from feature_repo.core.workspace import Workspace

# What a serving process writes, by its name in the store.
WRITTEN = frozenset({"audit", "preferences", "received", "request_log", "served_features"})


class NotProbed(RecommenderError):
    """A version's latency could not be measured."""


def measure_challenger(workspace: Workspace, *, challenger: Callable[[], str | None], requests: int) -> str:
    """Measure the version that `challenger` gives, its bundle in the workspace; the sentence says what came of it.

    Raises:
        NotProbed: the probe failed.
    """
    version = challenger()
    if version is None:
        return "up to date: no challenger waits for a release"
    with apart(workspace) as store:
        command = [sys.executable, "-m", "serving", "probe", "--version", version, "--requests", str(requests)]
        environment = {**os.environ, "BUILD": str(workspace.root), "STORE_URL": str(store)}
        status = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, check=False).returncode
    if status:
        raise NotProbed(f"the probe of version {version} must end with status 0; got {status}, for the reason above")
    return f"version {version} is measured; the gate reads {workspace.reports / 'latency.json'}"


@contextmanager
def apart(workspace: Workspace) -> Iterator[Path]:
    """A store with everything of the workspace's to read, and nothing of what is written here after the block."""
    with tempfile.TemporaryDirectory(prefix="probe-") as folder:
        for path in workspace.store.iterdir():
            if path.name not in WRITTEN:
                (Path(folder) / path.name).symlink_to(path)
        yield Path(folder)


def fetch_challenger(workspace: Workspace) -> str | None:
    """The challenger's version, its bundle in the workspace; None where no version has that alias."""
    # MLflow takes seconds to import.
    from training.registry import CHALLENGER, download_bundle, version_of_alias

    version = version_of_alias(workspace, CHALLENGER)
    if version is not None:
        download_bundle(workspace, version)
    return version
