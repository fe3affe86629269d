"""The image of a version, run as a cluster runs it: no root, a root file system that nobody can write, no rights."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from feature_repo.core.workspace import Workspace
from feature_repo.dataset.request_log import read_request_log
from serving.container.base import base_tag
from serving.container.environment import environment_tag
from serving.container.image import MAX_BYTES
from serving.container.podman import has_image, podman, runtime, size_of
from serving.process import Reply, call, free_port, is_ready

pytestmark = pytest.mark.integration

USER = 10001
# Limits below this machine's own: a sandbox may not raise them, as podman's defaults would.
RIGHTS = (
    "--read-only --tmpfs=/tmp --cap-drop=all --security-opt=no-new-privileges "
    "--ulimit=nofile=4096:4096 --ulimit=nproc=4096:4096"
)


def why_not() -> str:
    """Why this machine cannot run these tests; empty when it can."""
    if shutil.which("podman") is None:
        return "needs podman, which .ci/run installs"
    if os.geteuid() != 0:
        return "needs root, to give the container's user a folder"
    if not has_image(environment_tag(base_tag(datetime.now(UTC)))):
        return "needs the environment's image: python -m serving.container.environment makes it, in minutes"
    return ""


@dataclass(frozen=True)
class Container:
    """A container that answers on `port` of this machine; its store is that of `workspace`."""

    name: str
    port: int
    workspace: Workspace

    def run(self, *command: str) -> "subprocess.CompletedProcess[str]":
        """A command inside it."""
        return subprocess.run(
            ["podman", *runtime(), "exec", self.name, *command], capture_output=True, text=True, check=False
        )

    def recommend(self, user_id: str) -> Reply:
        body = {"user_id": user_id, "k": 5, "context": {"timestamp": "1998-07-25T00:00:00Z"}}
        return call(self.port, "POST", "/recommend", json.dumps(body).encode())


@pytest.fixture(scope="module")
def workspace(copy_of_world: Callable[[Path], Workspace], tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    if reason := why_not():
        pytest.skip(reason)
    return copy_of_world(tmp_path_factory.mktemp("container") / "build")


@pytest.fixture(scope="module")
def image(workspace: Workspace) -> Iterator[str]:
    tag = f"localhost/recommender-test:{os.getpid()}"
    environment = {**os.environ, "BUILD": str(workspace.root), "STORE_URL": str(workspace.store)}
    command = [sys.executable, "-m", "serving", "image", "--version", "1", "--tag", tag]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"built {tag}" in done.stdout
    try:
        yield tag
    finally:
        podman("rmi", tag)


@pytest.fixture(scope="module")
def container(image: str, workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Container]:
    data = tmp_path_factory.mktemp("data") / "build"
    # Neither bundles nor code: those are in the image.
    shutil.copytree(workspace.root, data, ignore=shutil.ignore_patterns("bundles", "bentoml", "mlflow"))
    for path in (data, *data.rglob("*")):
        os.chown(path, USER, USER)
    name, port = f"recommender-test-{os.getpid()}", free_port()
    options = [*RIGHTS.split(), "--network=host", f"--env=PORT={port}", f"--volume={data}:/data"]
    podman("run", "--detach", f"--name={name}", *options, image)
    try:
        deadline = time.monotonic() + 60
        while not is_ready(port):
            assert time.monotonic() < deadline, podman("logs", name)
            time.sleep(0.1)
        yield Container(name, port, Workspace(root=data, store=data / "store"))
    finally:
        podman("rm", "--force", name)


def test_the_image_is_small_and_says_who_runs_it(image: str) -> None:
    about = json.loads(podman("image", "inspect", image))[0]

    assert 300_000_000 < size_of(image) <= MAX_BYTES
    assert about["Config"]["User"] == f"{USER}:{USER}"
    assert about["Labels"]["model_version"] == "1"
    assert not [text for text in about["Config"]["Env"] if "PIP" in text or "://" in text]


def test_it_answers_for_its_version_with_what_the_volume_holds(container: Container) -> None:
    served = call(container.port, "GET", "/readyz").json()
    answer = container.recommend("u3").json()

    assert served == {"ready": True, "model_version": "1", "variant": "stable"}
    assert len(answer["items"]) == 5
    assert call(container.port, "GET", "/").status == 404


def test_nobody_in_it_is_root_or_can_write_but_to_its_volumes(container: Container) -> None:
    ids = container.run("python", "-c", "import os; print(os.getuid(), os.getgid())")
    writes = {
        path: container.run("touch", f"{path}/x").returncode for path in ("/srv/bento", "/opt/venv", "/var", "/tmp")
    }
    rights = container.run("grep", "CapEff", "/proc/1/status")

    assert ids.stdout.split() == [str(USER), str(USER)]
    assert writes == {"/srv/bento": 1, "/opt/venv": 1, "/var": 1, "/tmp": 0}
    assert int(rights.stdout.split()[1], 16) == 0


def test_it_holds_neither_compilers_nor_pip_and_its_code_is_compiled(container: Container) -> None:
    uncompiled = (
        "from importlib.util import cache_from_source as compiled; from pathlib import Path;"
        "files = [*Path('/srv/bento/src').rglob('*.py'), *Path('/opt/venv').rglob('site-packages/feast/*.py')];"
        "print(len(files), [str(path) for path in files if not Path(compiled(path)).exists()])"
    )
    assert container.run("sh", "-c", "command -v pip gcc cc make").stdout == ""
    count, missing = container.run("python", "-c", uncompiled).stdout.split(maxsplit=1)
    assert int(count) > 100
    assert missing.strip() == "[]"
    assert container.run("grep", "-rls", "://", "/etc/apt").stdout == ""


def test_its_health_check_passes(container: Container) -> None:
    assert podman("healthcheck", "run", container.name) in ("", "healthy")


def test_sigterm_ends_it_with_status_0_and_a_complete_log(container: Container) -> None:
    # The last one in this file: the container does not come back.
    asked = {container.recommend(f"u{n}").json()["request_id"] for n in range(5)}
    podman("stop", "--time=20", container.name)

    state = json.loads(podman("inspect", container.name))[0]["State"]
    assert (state["Status"], state["ExitCode"]) == ("exited", 0)
    assert asked <= set(read_request_log(container.workspace)["request_id"].to_pylist())
