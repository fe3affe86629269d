"""Fill the online store, and publish the item snapshot, as of one moment."""

import contextlib
import io
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from feast import FeatureStore

from feature_repo.core.workspace import Workspace, read_json
from feature_repo.dataset.split import load_split, to_microseconds
from feature_repo.store.coverage import write_coverage
from feature_repo.store.historical import features_at
from feature_repo.store.item_table import POINTER, publish
from feature_repo.store.online_place import online_place
from feature_repo.store.open import open_store

# Attributes may hold from long before the first event.
BEFORE_ALL = datetime(1900, 1, 1, tzinfo=UTC)


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
        store.materialize(start_date=BEFORE_ALL, end_date=until)
    write_coverage(workspace, until=min(until, load_split(workspace).test_end))
    items = items_at(store, workspace, to_microseconds(until))
    # Last, since it is what says that the state is there.
    publish(items, workspace, as_of=until, made_from=made_from)
    return len(items)


def items_at(store: FeatureStore, workspace: Workspace, moment_us: int) -> pa.Table:
    """All items that are known at `moment_us`, sorted by id, with their features."""
    ids = np.array(known_items(workspace, moment_us), dtype=object)
    return features_at(store, "item_id", ids, np.full(len(ids), moment_us, np.int64)).drop(["event_timestamp"])


def known_items(workspace: Workspace, moment_us: int) -> list[str]:
    """The items with an event or with attributes by then, sorted."""
    known: set[str] = set()
    for view in ("item_popularity", "item_metadata"):
        path = workspace.tables / f"{view}.parquet"
        if path.exists():
            dates = [c for c in ("event_timestamp", "created_timestamp") if c in pq.read_schema(path).names]
            table = pq.read_table(path, columns=["item_id", *dates])
            # A row that was recorded later than it holds from is known from then on.
            stamps = pc.max_element_wise(*(table[c].cast(pa.timestamp("us", "UTC")).cast(pa.int64()) for c in dates))
            known.update(table.filter(pc.less_equal(stamps, moment_us))["item_id"].to_pylist())
    return sorted(known)


def _made_from(workspace: Workspace) -> str:
    """Data, and the online store that they were written into: a store that was made anew is empty."""
    fingerprint = read_json(workspace.reports / "data.json", made_by="make data")["fingerprint"]
    return f"{fingerprint} {online_place(workspace)}"


def _holds(workspace: Workspace, until: datetime, made_from: str) -> bool:
    if not (workspace.snapshots / POINTER).exists():
        return False
    pointer = read_json(workspace.snapshots / POINTER, made_by="make materialize")
    return (pointer["as_of"], pointer.get("made_from")) == (until.isoformat(), made_from)
