"""The image that ours starts from: Debian with its own Python and its updates, from the mirrors of this machine's apt.

debootstrap unpacks a release as it was published; what was mended since lies in two suites beside it. The name of the
image has the month in which it was made: next month another one is made, with what was mended by then.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from serving.container.podman import ImageError, has_image, podman, run_tool

SUITE = "bookworm"  # Debian 12, whose Python is 3.11
SUITES = (SUITE, f"{SUITE}-updates", f"{SUITE}-security")
PACKAGES = ("python3", "libgomp1", "ca-certificates")
# Manuals, translations, caches, and what is this machine's: the address of its mirror, its name, who resolves names.
LEFT_OUT = (
    "usr/share/doc/*",
    "usr/share/info/*",
    "usr/share/locale/*",
    "usr/share/man/*",
    "var/cache/*",
    "var/lib/apt/lists/*",
    "var/log/*",
    "etc/apt/sources.list",
    "etc/hostname",
    "etc/resolv.conf",
)


def base_tag(now: datetime) -> str:
    """The image of this month."""
    return f"localhost/recommender-base:{SUITE}-{now:%Y%m}"


def ensure_base(now: datetime) -> str:
    """Make the base image of this month where it is not there yet; a minute, and root's rights.

    Raises:
        ImageError: debootstrap, apt or podman fails, or this is not root.
    """
    tag = base_tag(now)
    if has_image(tag):
        return tag
    if os.geteuid() != 0:
        raise ImageError(f"debootstrap needs root to make {tag}; run it as root once, or name an image with --base")
    mirrors = mirrors_of_apt()
    root = Path(tempfile.mkdtemp(prefix="base-"))
    try:
        include = f"--include={','.join(PACKAGES)}"
        run_tool("debootstrap", "--variant=minbase", include, SUITE, str(root), mirrors[SUITE])
        _upgrade(root, mirrors)
        _import(root, tag)
    finally:
        shutil.rmtree(root, ignore_errors=True)
    return tag


def mirrors_of_apt() -> dict[str, str]:
    """The address that this machine's apt has each suite from.

    Raises:
        ImageError: apt knows not all of them.
    """
    form = "$(RELEASE) $(COMPONENT) $(REPO_URI)"
    listed = run_tool("apt-get", "indextargets", "--format", form, "Created-By: Packages")
    indexes = (line.split() for line in listed.splitlines())
    found = {words[0]: words[2] for words in indexes if len(words) == 3 and words[1] == "main"}
    if missing := [suite for suite in SUITES if suite not in found]:
        raise ImageError(f"the base image needs a machine whose apt knows {', '.join(SUITES)}; got no {missing[0]}")
    return {suite: found[suite] for suite in SUITES}


def _upgrade(root: Path, mirrors: Mapping[str, str]) -> None:
    sources = "".join(f"deb {address} {suite} main\n" for suite, address in mirrors.items())
    (root / "etc/apt/sources.list").write_text(sources, encoding="utf-8")
    quiet = ("chroot", str(root), "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "--quiet", "--quiet")
    run_tool(*quiet, "update")
    run_tool(*quiet, "--yes", "--no-install-recommends", "--with-new-pkgs", "upgrade")


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
