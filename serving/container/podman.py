"""Podman, as far as we use it. What it cannot do is one sentence."""

import shutil
import subprocess

from feature_repo.core.errors import RecommenderError


class ImageError(RecommenderError):
    """An image cannot be built."""


def run_tool(program: str, *arguments: str, stdin: "subprocess.Popen[bytes] | None" = None) -> str:
    """What `program` prints.

    Raises:
        ImageError: it is not installed, or it failed; the sentence ends with its last words.
    """
    if shutil.which(program) is None:
        raise ImageError(f"an image is built with {program}; it is not installed")
    done = subprocess.run(
        [program, *arguments],
        stdin=subprocess.DEVNULL if stdin is None else stdin.stdout,
        capture_output=True,
        check=False,
    )
    if done.returncode:
        said = (done.stderr or done.stdout).decode("utf-8", "replace").strip().splitlines()
        last = said[-1] if said else "it printed nothing"
        raise ImageError(f"{program} must end with status 0; got {done.returncode}: {last}")
    return done.stdout.decode("utf-8", "replace").strip()


def podman(*arguments: str) -> str:
    return run_tool("podman", *runtime(), *arguments)


def runtime() -> tuple[str, ...]:
    """runc where it is installed: Debian's crun refuses a machine that has cgroups of both versions."""
    return ("--runtime", "runc") if shutil.which("runc") else ()


def has_image(tag: str) -> bool:
    """Whether an image lies here; nothing is pulled."""
    return tag in podman("images", "--format", "{{.Repository}}:{{.Tag}}").splitlines()


def size_of(tag: str) -> int:
    """Bytes of an image with all its layers."""
    return int(podman("image", "inspect", "--format", "{{.Size}}", tag))
