"""Small tables of events through the door of the event log."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from feature_repo.dataset.clean import Cleaned, clean
from feature_repo.dataset.declaration import Dataset, parse_dataset
from feature_repo.dataset.read import connect, read_raw_events
from feature_repo.dataset.tombstone import NOBODY, Tombstones

NOW = datetime(2026, 1, 10, tzinfo=UTC)
HEADER = "user,item,at,kind,amount\n"
DECLARED: dict[str, Any] = {
    "name": "tiny",
    "events": {
        "path": "events.csv",
        "columns": {"user_id": "user", "item_id": "item", "timestamp": "at", "event_type": "kind", "value": "amount"},
    },
    "weights": {"view": 1, "hide": -1},
}


def declared(folder: Path, *, path: str = "events.csv", **changes: Any) -> Dataset:
    """The data set in `folder`; `changes` are keys of dataset.yaml, `columns` and `context` those of its events."""
    events = {**DECLARED["events"], "path": path, "context": changes.pop("context", [])}
    events["columns"] = events["columns"] | changes.pop("columns", {})
    return parse_dataset(yaml.safe_dump({**DECLARED, "events": events, **changes}), folder / "dataset.yaml")


def through_the_door(dataset: Dataset, erased: Tombstones = NOBODY) -> Cleaned:
    connection = connect()
    return clean(connection, read_raw_events(connection, dataset), dataset, now=NOW, erased=erased)


def cleaned(folder: Path, rows: str | bytes, **changes: Any) -> Cleaned:
    """`rows` as the lines of a CSV file below HEADER, or as the bytes of a whole file, read and cleaned."""
    content = rows if isinstance(rows, bytes) else (HEADER + rows).encode()
    (folder / "events.csv").write_bytes(content)
    return through_the_door(declared(folder, **changes))
