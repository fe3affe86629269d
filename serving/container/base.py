"""The image that ours starts from: Debian with its own Python, unpacked by debootstrap from this machine's mirror."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from serving.container.podman import ImageError, has_image, podman, run_tool

SUITE = "bookworm"  # Debian 12, whose Python is 3.11
PACKAGES = ("python3", "libgomp1", "ca-certificates")
BASE = f"localhost/recommender-base:{SUITE}"
# Manuals, translations, caches, and the address of the mirror.
LEFT_OUT = (
    "usr/share/doc/*",
    "usr/share/info/*",
    "usr/share/locale/*",
    "usr/share/man/*",
    "var/cache/*",
    "var/lib/apt/lists/*",
    "var/log/*",
    "etc/apt/sources.list",
)


def ensure_base(tag: str = BASE) -> str:
    """Make the base image where it is not there yet; a minute, and root's rights.

    Raises:
        ImageError: debootstrap or podman fails, or this is not root.
    """
    if has_image(tag):
        return tag
    if os.geteuid() != 0:
        raise ImageError(f"debootstrap needs root to make {tag}; run it as root once, or name an image with --base")
    root = Path(tempfile.mkdtemp(prefix="base-"))
    try:
        run_tool(
            "debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", SUITE, str(root), mirror_of_apt()
        )
        _import(root, tag)
    finally:
        shutil.rmtree(root, ignore_errors=True)
    return tag


def mirror_of_apt() -> str:
    """The address that this machine's apt has the suite from.

    Raises:
        ImageError: apt knows none.
    """
    listed = run_tool(
        "apt-get", "indextargets", "--format", "$(RELEASE) $(COMPONENT) $(REPO_URI)", "Created-By: Packages"
    )
    found = [line.split()[2] for line in listed.splitlines() if line.split()[:2] == [SUITE, "main"]]
    if not found:
        raise ImageError(f"the base image needs a machine whose apt knows {SUITE}; got none of its indexes")
    return found[0]


def _import(root: Path, tag: str) -> None:
    left_out = [f"--exclude=./{pattern}" for pattern in LEFT_OUT]
    tar = subprocess.Popen(["tar", "-C", str(root), *left_out, "-c", "."], stdout=subprocess.PIPE)
    try:
        run_tool("podman", "import", "--quiet", "-", tag, stdin=tar)
    finally:
        assert tar.stdout is not None
        tar.stdout.close()
        status = tar.wait()
    if status:
        podman("rmi", tag)
        raise ImageError(f"tar must pack the whole base; it ended with status {status}")


if __name__ == "__main__":
    ensure_base()
