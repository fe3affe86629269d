"""What the stream refused: one JSON line a record, on disk before the bus forgets it."""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from feature_repo.core.workspace import Workspace
from feature_repo.stream.connect import stream_folder
from feature_repo.stream.payload import user_of

KEPT_BYTES = 4_096  # of a payload: enough to see what it was


@dataclass(frozen=True, slots=True)
class RefusedRecord:
    """A record, why it is no event, when that was found (ISO 8601), and the beginning of its payload."""

    position: str
    reason: str
    at: str
    payload: str
    user_id: str | None


def refused_record(position: str, payload: bytes, *, reason: str, at: str) -> RefusedRecord:
    return RefusedRecord(position, reason, at, payload[:KEPT_BYTES].decode("utf-8", "replace"), user_of(payload))


def append_refused(workspace: Workspace, records: Iterable[RefusedRecord]) -> None:
    """Durable when this returns. After a kill a record can be there twice; `read_refused` gives it once."""
    lines = "".join(json.dumps(asdict(record)) + "\n" for record in records)
    if not lines:
        return
    path = _file(workspace)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        # What a kill cut off stays a line of its own.
        file.write(lines if _ends_a_line(path) else f"\n{lines}")
        file.flush()
        os.fsync(file.fileno())


def read_refused(workspace: Workspace) -> dict[str, RefusedRecord]:
    """Every refused record by its position."""
    path = _file(workspace)
    if not path.exists():
        return {}
    found: dict[str, RefusedRecord] = {}
    for line in path.read_text(encoding="utf-8").split("\n"):
        if (record := _record(line)) is not None:
            found[record.position] = record
    return found


def _record(line: str) -> RefusedRecord | None:
    try:
        fields: Mapping[str, str | None] = json.loads(line)
        return RefusedRecord(**fields)  # type: ignore[arg-type]
    except (ValueError, TypeError):
        return None


def _ends_a_line(path: Path) -> bool:
    with path.open("rb") as file:
        if file.seek(0, os.SEEK_END) == 0:
            return True
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


def _file(workspace: Workspace) -> Path:
    return stream_folder(workspace) / "quarantine.jsonl"
