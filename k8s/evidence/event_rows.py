"""Events that answer slates, each file of them read once."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from k8s.evidence.log_rows import EARLIER, table_of

EVENTS = pa.schema(
    [
        ("request_id", pa.string()),
        ("item_id", pa.string()),
        ("timestamp", pa.timestamp("us", tz="UTC")),
        ("event_type", pa.string()),
    ]
)


class EventRows:
    """Rows of these types of events, in files that were written from `since` on: an answer follows its slate."""

    def __init__(self, files: Callable[[], list[Path]], types: tuple[str, ...], *, since: datetime) -> None:
        self._files = files
        self._types = pa.array(types, pa.string())
        self._from = (since - EARLIER).timestamp()
        self._read: set[Path] = set()

    def unread(self) -> pa.Table:
        """Rows of the files that are there since the last call, in no order."""
        files = [file for file in self._files() if file not in self._read]
        self._read.update(files)
        recent = [file for file in files if file.stat().st_mtime >= self._from]
        rows = pa.concat_tables([EVENTS.empty_table(), *(table_of(file, EVENTS) for file in recent)])
        return rows.filter(pc.and_(pc.is_valid(rows["request_id"]), pc.is_in(rows["event_type"], self._types)))
