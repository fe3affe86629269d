"""Events of a few users, written by hand."""

from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

DAY = 86_400_000_000
Event = tuple[str, str, int]  # user, item, microseconds


def at(day: float) -> int:
    """Microseconds of the given day after 2026-01-01, UTC."""
    return int(datetime(2026, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000 + int(day * DAY)


def event_log(events: list[Event], event_type: str = "view") -> pa.Table:
    """Valid events in the order of the log."""
    return typed_log([(user, item, time, event_type, None) for user, item, time in events])


def typed_log(events: list[tuple[str, str, int, str, float | None]]) -> pa.Table:
    """Valid events of several types, with values."""
    rows: list[dict[str, Any]] = [
        {"event_id": f"{n:06d}", "user_id": u, "item_id": i, "timestamp": t, "event_type": kind, "value": value}
        for n, (u, i, t, kind, value) in enumerate(events)
    ]
    schema = pa.schema(
        [(n, pa.string()) for n in ("event_id", "user_id", "item_id")]
        + [("timestamp", pa.int64()), ("event_type", pa.string()), ("value", pa.float64())]
    )
    table = pa.Table.from_pylist(rows, schema=schema)
    stamps = table["timestamp"].cast(pa.timestamp("us", "UTC"))
    return table.set_column(3, "timestamp", stamps).sort_by([("timestamp", "ascending"), ("event_id", "ascending")])
