"""The port of training/deployer.py over the one server of a laptop."""

import time

import httpx

from feature_repo.core.workspace import Workspace
from k8s.loopback import loopback_client
from k8s.promote.served import FAILED, SERVING, ServedFiles, Wanted
from training.deployer import DeployFailed

# Twice a start: that of the new version, and where it fails that of the old one.
PATIENCE_SECONDS = 300.0
LOOK_SECONDS = 0.1


class LocalDeployer:
    """Tells the supervisor what to serve, and waits until it does."""

    def __init__(self, files: ServedFiles, *, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._files = files
        self._patience = patience_seconds

    def deploy(self, version: str, *, fence: int) -> None:
        """Serve `version`; returns when it answers. Safe to repeat.

        Raises:
            DeployFailed: it did not come up, or the server is gone.
            Fenced: a later mover has deployed since.
        """
        wanted = Wanted(version, fence)
        self._files.want(wanted)
        deadline = time.monotonic() + self._patience
        while time.monotonic() < deadline:
            told = self._files.told
            if told is not None and told.wanted == wanted and told.state in (SERVING, FAILED):
                if told.state == SERVING:
                    return
                raise DeployFailed(f"version {version} did not come up: {told.reason}")
            if not self._files.supervised:
                raise DeployFailed(f"the server ended before version {version} came up: start it with `make serve`")
            time.sleep(LOOK_SECONDS)
        raise DeployFailed(f"expected the server to serve version {version} within {self._patience:g} s; it does not")

    def serving(self) -> str | None:
        """What /readyz says."""
        told = self._files.told
        if told is None:
            return None
        try:
            with loopback_client(timeout_seconds=2.0) as client:
                answer = client.get(f"{told.url}/readyz")
            return str(answer.json()["model_version"]) if answer.status_code == httpx.codes.OK else None
        except (httpx.HTTPError, ValueError, KeyError, TypeError):
            return None


def local_deployer(workspace: Workspace) -> LocalDeployer | None:
    """The deployer of this workspace's server; None where nothing is being served."""
    files = ServedFiles.of(workspace)
    return LocalDeployer(files) if files.supervised else None
