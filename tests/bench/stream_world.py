"""What the stream benchmark runs in: a filled online store, and held-out events as messages.

`python -m bench.stream_world fill ROOT` and `python -m bench.stream_world publish ROOT FIRST COUNT log|shuffled`;
ONLINE_STORE, REDIS_URL and BUS_URL say where.
"""

import contextlib
import io
import json
import random
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from feature_repo.core.workspace import Workspace
from feature_repo.dataset.split import load_split
from feature_repo.store.coverage import write_coverage
from feature_repo.store.open import open_store
from feature_repo.stream.bus import Message
from feature_repo.stream.connect import open_bus
from feature_repo.stream.online_views import STREAMED

COLUMNS = ["event_id", "user_id", "item_id", "timestamp", "event_type", "value"]


def fill(workspace: Workspace) -> None:
    """The users' state before the held-out window, in the online store."""
    split = load_split(workspace)
    views = [view for view in STREAMED if (workspace.tables / f"{view}.parquet").exists()]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        open_store(workspace).materialize(
            start_date=split.start - timedelta(days=1), end_date=split.challenger_end, feature_views=views
        )
    write_coverage(workspace, until=split.challenger_end)


def publish(workspace: Workspace, first: int, count: int, order: str) -> None:
    """Put `count` events of the held-out window on the bus, as the log has them or shuffled."""
    messages = held_out(workspace, first, count)
    if order == "shuffled":
        random.Random(3).shuffle(messages)
    bus = open_bus(workspace)
    for start in range(0, count, 1_000):
        bus.publish(messages[start : start + 1_000])
    bus.close()


def held_out(workspace: Workspace, first: int, count: int) -> list[Message]:
    log = pq.read_table(workspace.events, columns=COLUMNS)
    start = pa.scalar(load_split(workspace).challenger_end, pa.timestamp("us", "UTC"))
    rows = log.filter(pc.greater_equal(log["timestamp"], start)).slice(first, count).to_pylist()
    return [Message(row["user_id"], json.dumps(row, default=datetime.isoformat).encode()) for row in rows]


def workspace_at(root: str) -> Workspace:
    return Workspace(root=Path(root), store=Path(root) / "store")


def main(part: str, root: str, *arguments: str) -> None:
    if part == "fill":
        fill(workspace_at(root))
    else:
        publish(workspace_at(root), int(arguments[0]), int(arguments[1]), arguments[2])


if __name__ == "__main__":
    main(*sys.argv[1:])
