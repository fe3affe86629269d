"""The images that others are built upon: Debian and the exact versions of one lock, compiled.

Wheels are brought here by this machine's pip and mounted while the image is built, so the build itself needs no
network, and what pip is told about registries stays out of the image.
"""

import hashlib
import shutil
import sys
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from serving.container.base import ensure_base
from serving.container.podman import has_image, podman, run_tool
from serving.settings import CODE_ROOT

CONTAINERFILE = Path(__file__).with_name("environment.Containerfile")


@dataclass(frozen=True)
class Group:
    """What is installed: the image's name and the lock that it is made from."""

    name: str
    lock: Path


SERVING = Group("recommender-environment", CODE_ROOT / "requirements-serving.lock")
JOBS = Group("recommender-jobs-environment", CODE_ROOT / "requirements-jobs.lock")


def environment_tag(base: str, group: Group = SERVING) -> str:
    """The name says what it was made from, so that another lock is another image."""
    made_from = base.encode() + group.lock.read_bytes() + CONTAINERFILE.read_bytes()
    return f"localhost/{group.name}:{hashlib.sha256(made_from).hexdigest()[:12]}"


def ensure_environment(base: str | None = None, group: Group = SERVING, *, now: datetime) -> str:
    """Make the image where it is not there yet: minutes, and what pip fetches or has in its cache.

    That is 250 MB of wheels for a serving process, and 1 GB for the jobs.

    Raises:
        ImageError: a tool is missing or fails.
    """
    base = base or ensure_base(now)
    tag = environment_tag(base, group)
    if has_image(tag):
        return tag
    with tempfile.TemporaryDirectory(prefix="environment-") as folder:
        context, wheels = Path(folder) / "context", Path(folder) / "wheels"
        context.mkdir()
        shutil.copyfile(group.lock, context / "requirements.txt")
        options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--wheel-dir", str(wheels)]
        # pip itself, too: it installs the others, from its wheel.
        run_tool(sys.executable, "-m", "pip", "wheel", *options, "--requirement", str(group.lock), "pip")
        build(CONTAINERFILE, context, tag, f"--build-arg=BASE={base}", f"--volume={wheels}:/wheels:ro")
    return tag


def build(containerfile: Path, context: Path, tag: str, *options: str) -> None:
    """`podman build` without a network and without pulling anything."""
    # The other format has no health check.
    always = ["--quiet", "--pull=never", "--network=none", "--format=docker"]
    podman("build", *always, *options, f"--tag={tag}", f"--file={containerfile}", str(context))


if __name__ == "__main__":
    ensure_environment(now=datetime.now(UTC))
