"""An image of one version: its Bento over the environment that all versions share."""

import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from feature_repo.core.workspace import Workspace
from serving.bento import build_bento
from serving.container.environment import build, ensure_environment
from serving.container.podman import ImageError, size_of

MAX_BYTES = 1_200_000_000
CONTAINERFILE = Path(__file__).with_name("Containerfile")


@dataclass(frozen=True)
class Image:
    """`size` is in bytes, all layers together."""

    tag: str
    size: int


def build_image(workspace: Workspace, *, version: str, tag: str, now: datetime, base: str | None = None) -> Image:
    """Build the image of `version`, over `base` or the one that debootstrap made this month.

    Raises:
        RecommenderError: the bundle is not there, a tool is missing or fails, or the image is too large.
    """
    with tempfile.TemporaryDirectory(prefix="image-") as folder:
        context = Path(folder)
        build_bento(workspace, version=version, output=context / "bento")
        environment = ensure_environment(base, now=now)
        # Without layers of its own, no unnamed image stays behind.
        options = ["--layers=false", f"--build-arg=ENVIRONMENT={environment}", f"--label=model_version={version}"]
        build(CONTAINERFILE, context, tag, *options)
    return checked(Image(tag, size_of(tag)))


def checked(image: Image, *, most: int = MAX_BYTES) -> Image:
    """The image, if it has at most `most` bytes.

    Raises:
        ImageError: it has more.
    """
    if image.size > most:
        raise ImageError(f"an image must have at most {most / 1e6:.0f} MB; {image.tag} has {image.size / 1e6:.0f} MB")
    return image
