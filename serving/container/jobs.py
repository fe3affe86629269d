"""The image of the controller and the jobs: every stage's code over everything that the stages import.

It holds no version of the model: a job is told which one, or asks the registry.
"""

import shutil
import tempfile
import tomllib
from datetime import datetime
from pathlib import Path

from serving.bento import IGNORED
from serving.container.environment import JOBS, build, ensure_environment
from serving.container.image import Image, checked
from serving.container.podman import size_of
from serving.settings import CODE_ROOT

# TensorFlow alone is 1.9 GB on disk.
MAX_BYTES = 4_500_000_000
CONTAINERFILE = Path(__file__).with_name("jobs.Containerfile")
STAGES = ("feature_repo", "training", "serving", "monitoring", "k8s")


def jobs_tag() -> str:
    """The name that k8s/manifests/overlays/dev has it under: the tag is the project's release."""
    project = tomllib.loads((CODE_ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return f"localhost/recommender-jobs:{project['version']}"


def build_jobs_image(tag: str, *, now: datetime, base: str | None = None) -> Image:
    """Build the image over `base` or the one that debootstrap made this month.

    Raises:
        ImageError: a tool is missing or fails, or the image is too large.
    """
    with tempfile.TemporaryDirectory(prefix="image-") as folder:
        context = Path(folder)
        stage_code(context / "code")
        environment = ensure_environment(base, JOBS, now=now)
        build(CONTAINERFILE, context, tag, "--layers=false", f"--build-arg=ENVIRONMENT={environment}")
    return checked(Image(tag, size_of(tag)), most=MAX_BYTES)


def stage_code(folder: Path) -> None:
    """Copy into `folder` what the commands of all stages read of this repository."""
    for stage in STAGES:
        shutil.copytree(CODE_ROOT / stage, folder / stage, ignore=IGNORED)
