"""Clicks of simulated people, kept apart from the workspace's own events: nobody is to train on them."""

import os
from pathlib import Path
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq

CLICK = "click"
_SCHEMA = pa.schema(
    [
        ("event_id", pa.string()),
        ("request_id", pa.string()),
        ("item_id", pa.string()),
        ("timestamp", pa.timestamp("us", tz="UTC")),
        ("event_type", pa.string()),
        ("value", pa.float64()),
    ]
)


class ClickFiles:
    """Clicks of one rollout as files of a folder, which a rollout that goes on after a kill finds again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def files(self) -> list[Path]:
        """All clicks so far, as files of events that answer slates."""
        return sorted(self._folder.glob("*.parquet"))

    def add(self, rows: list[dict[str, object]]) -> None:
        """Keep clicks: request_id, item_id and timestamp of each."""
        if not rows:
            return
        whole: list[dict[str, object]] = [{"event_type": CLICK, "value": 1.0, **row} for row in rows]
        for row in whole:
            row["event_id"] = f"{row['request_id']}/{row['item_id']}"
        new = pa.Table.from_pylist(whole, schema=_SCHEMA)
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{uuid4().hex}.parquet"
        partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
        pq.write_table(new, partial)
        partial.replace(path)
