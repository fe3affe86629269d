"""The image that all versions share: Debian and the exact versions of the serving group's lock, compiled.

Wheels are brought here by this machine's pip and mounted while the image is built, so the build itself needs no
network, and what pip is told about registries stays out of the image.
"""

import hashlib
import shutil
import sys
import tempfile
from pathlib import Path

from serving.container.base import ensure_base
from serving.container.podman import has_image, podman, run_tool
from serving.settings import CODE_ROOT

LOCK = CODE_ROOT / "requirements-serving.lock"
CONTAINERFILE = Path(__file__).with_name("environment.Containerfile")


def environment_tag(base: str) -> str:
    """The name says what it was made from, so that another lock is another image."""
    made_from = base.encode() + LOCK.read_bytes() + CONTAINERFILE.read_bytes()
    return f"localhost/recommender-environment:{hashlib.sha256(made_from).hexdigest()[:12]}"


def ensure_environment(base: str | None = None) -> str:
    """Make the image where it is not there yet: minutes, and 250 MB that pip fetches or has in its cache.

    Raises:
        ImageError: a tool is missing or fails.
    """
    base = base or ensure_base()
    tag = environment_tag(base)
    if has_image(tag):
        return tag
    with tempfile.TemporaryDirectory(prefix="environment-") as folder:
        context, wheels = Path(folder) / "context", Path(folder) / "wheels"
        context.mkdir()
        shutil.copyfile(LOCK, context / "requirements.txt")
        options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--wheel-dir", str(wheels)]
        # pip itself, too: it installs the others, from its wheel.
        run_tool(sys.executable, "-m", "pip", "wheel", *options, "--requirement", str(LOCK), "pip")
        build(CONTAINERFILE, context, tag, f"--build-arg=BASE={base}", f"--volume={wheels}:/wheels:ro")
    return tag


def build(containerfile: Path, context: Path, tag: str, *options: str) -> None:
    """`podman build` without a network and without pulling anything."""
    # The other format has no health check.
    always = ["--quiet", "--pull=never", "--network=none", "--format=docker"]
    podman("build", *always, *options, f"--tag={tag}", f"--file={containerfile}", str(context))


if __name__ == "__main__":
    ensure_environment()
