"""A rollout's state in a file: replaced in one piece, under a lock, its version a hash of its content."""

import hashlib
import os
from pathlib import Path

from filelock import FileLock

from k8s.rollout.rollout import Rollout
from k8s.rollout.store import StaleState


class FileStore:
    """For a laptop. Any number of processes of one machine may share the file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> tuple[Rollout, str] | None:
        content = self._content()
        return (Rollout.from_json(content), _version(content)) if content is not None else None

    def save(self, rollout: Rollout, version: str | None) -> str:
        new = rollout.to_json().encode()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{self._path}.lock"):
            held = self._content()
            current = None if held is None else _version(held)
            if current != version:
                raise StaleState(f"expected {self._path.name} as it was loaded; somebody else has saved it since")
            partial = self._path.with_name(f".{self._path.name}.{os.getpid()}.partial")
            with partial.open("wb") as out:
                out.write(new)
                out.flush()
                os.fsync(out.fileno())
            partial.replace(self._path)
        return _version(new)

    def _content(self) -> bytes | None:
        try:
            return self._path.read_bytes()
        except FileNotFoundError:
            return None


def _version(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
