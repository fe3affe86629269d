"""Fill the online store, and publish the item snapshot, as of one moment."""

import contextlib
import io
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from feast import FeatureStore

from feature_repo.core.workspace import Workspace, read_json
from feature_repo.dataset.split import from_microseconds, to_microseconds
from feature_repo.store.historical import features_at
from feature_repo.store.item_table import POINTER, publish
from feature_repo.store.open import open_store


def materialize(workspace: Workspace, *, until: datetime) -> int | None:
    """Write the newest state before `until` of every user and item; returns how many items the snapshot holds.

    State stamped exactly at `until` belongs to an event one microsecond earlier, so it is known by then. Returns None
    where the store already holds this state of these data.
    """
    made_from = _made_from(workspace)
    if _holds(workspace, until, made_from):
        return None
    store = open_store(workspace)
    # Feast paints its progress with colour codes wherever it prints.
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        store.materialize(start_date=first_stamp(workspace) - timedelta(days=1), end_date=until)
    items = items_at(store, workspace, to_microseconds(until))
    # Last, since it is what says that the state is there.
    publish(items, workspace, as_of=until, made_from=made_from)
    return len(items)


def items_at(store: FeatureStore, workspace: Workspace, moment_us: int) -> pa.Table:
    """All items that are known at `moment_us`: those with an event or with attributes by then, sorted by id."""
    known = set()
    for view in ("item_popularity", "item_metadata"):
        path = workspace.tables / f"{view}.parquet"
        if path.exists():
            table = pq.read_table(path, columns=["item_id", "event_timestamp"])
            stamps = table["event_timestamp"].cast(pa.timestamp("us", "UTC")).cast(pa.int64())
            known.update(table.filter(pc.less_equal(stamps, moment_us))["item_id"].to_pylist())
    ids = np.array(sorted(known), dtype=object)
    return features_at(store, "item_id", ids, np.full(len(ids), moment_us, np.int64)).drop(["event_timestamp"])


def first_stamp(workspace: Workspace) -> datetime:
    stamps = pq.read_table(_user_activity(workspace), columns=["event_timestamp"])["event_timestamp"]
    return from_microseconds(pc.min(stamps.cast(pa.timestamp("us", "UTC")).cast(pa.int64())).as_py())


def _made_from(workspace: Workspace) -> str:
    """Data, and the online store that they were written into: a store that was made anew is empty."""
    fingerprint = read_json(workspace.reports / "data.json", made_by="make data")["fingerprint"]
    online = workspace.feast_online
    return f"{fingerprint} {online.stat().st_ino if online.exists() else 'elsewhere'}"


def _holds(workspace: Workspace, until: datetime, made_from: str) -> bool:
    if not (workspace.snapshots / POINTER).exists():
        return False
    pointer = read_json(workspace.snapshots / POINTER, made_by="make materialize")
    return (pointer["as_of"], pointer.get("made_from")) == (until.isoformat(), made_from)


def _user_activity(workspace: Workspace) -> Path:
    return workspace.tables / "user_activity.parquet"
