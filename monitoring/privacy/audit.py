"""One JSON line an act, in `<store>/audit/`: only ever appended, on disk before the act."""

import json
import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any


def append_line(path: Path, *, at: datetime, **fields: Any) -> None:
    """Durable when this returns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps({"at": at.isoformat(), **fields}, sort_keys=True, default=str)
    with path.open("a+b") as file:
        # What a kill cut off stays a line of its own.
        file.write(b"" if _ends_a_line(path) else b"\n")
        file.write(f"{line}\n".encode())
        file.flush()
        os.fsync(file.fileno())
    sync_folder(path.parent)


def read_lines(path: Path) -> list[Mapping[str, Any]]:
    """The whole lines of the file; one that a kill cut off was never acted upon."""
    if not path.exists():
        return []
    found: list[Mapping[str, Any]] = []
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if isinstance(line, dict) and "at" in line:
            found.append(line)
    return found


def sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _ends_a_line(path: Path) -> bool:
    with path.open("rb") as file:
        if file.seek(0, os.SEEK_END) == 0:
            return True
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
