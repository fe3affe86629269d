"""Files that must not be lost: on disk before the call returns, and never seen half-written."""

import os
from pathlib import Path


def write_durably(path: Path, content: bytes) -> None:
    """Put `content` in the place of the file, readable by its owner alone."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    partial.replace(path)
    # The new name is in the folder, which is written for itself.
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
