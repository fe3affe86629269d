"""Item features in memory: a versioned, hashed Arrow snapshot that every process maps.

A store read for each candidate would cost more than everything else in a request, and items change slowly: so
`materialize` publishes all of them in one file, and a process looks them up by position.
"""

import hashlib
import mmap
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from feature_repo.core.errors import MissingArtifact, StoreUnavailable
from feature_repo.core.workspace import Workspace, read_json, write_json
from feature_repo.features.columns import Columns, as_columns

POINTER = "items.json"


@dataclass(frozen=True)
class ItemTable:
    """Raw item features by column; row i is `item_ids[i]`. `as_of` is the moment that they describe.

    `known` is False for an item that does not exist yet at that moment: a replay has room for it before it comes.
    """

    item_ids: "np.ndarray[tuple[int], np.dtype[np.object_]]"
    columns: Columns
    as_of: datetime
    rows: Mapping[str, int]
    known: "np.ndarray[tuple[int], np.dtype[np.bool_]]"

    def __len__(self) -> int:
        return len(self.item_ids)


def item_table(table: pa.Table, as_of: datetime) -> ItemTable:
    """An item table from Arrow columns: item_id and any raw features."""
    ids = np.asarray(table["item_id"].to_numpy(), object)
    names = [name for name in table.column_names if name not in ("item_id", "event_timestamp")]
    rows = {item: row for row, item in enumerate(ids)}
    return ItemTable(ids, as_columns(table, names), as_of, rows, np.ones(len(ids), bool))


def publish(table: pa.Table, workspace: Workspace, *, as_of: datetime, made_from: str = "") -> Path:
    """Write `table` as a new snapshot, then point to it; readers see the old one or the new one.

    `made_from` names the data that it was made from.
    """
    workspace.snapshots.mkdir(parents=True, exist_ok=True)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table.combine_chunks())
    content = sink.getvalue()
    digest = hashlib.sha256(content).hexdigest()
    path = workspace.snapshots / f"items-{digest[:16]}.arrow"
    partial = path.with_suffix(".partial")
    partial.write_bytes(content)
    partial.replace(path)
    pointer = {"file": path.name, "sha256": digest, "as_of": as_of.isoformat(), "made_from": made_from}
    write_json(workspace.snapshots / POINTER, pointer)
    return path


def open_item_table(workspace: Workspace) -> ItemTable:
    """Map the newest snapshot after checking its hash."""
    pointer = read_json(workspace.snapshots / POINTER, made_by="make materialize")
    path = workspace.snapshots / str(pointer["file"])
    if not path.exists():
        raise MissingArtifact(f"the item snapshot {path.name} is not there: run `make materialize`")
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    found = hashlib.sha256(mapped).hexdigest()
    if found != pointer["sha256"]:
        raise StoreUnavailable(f"{path.name}: expected SHA-256 {pointer['sha256']}; got {found}")
    table = pa.ipc.open_file(pa.py_buffer(mapped)).read_all()
    return item_table(table, datetime.fromisoformat(str(pointer["as_of"])))


def attributes(table: ItemTable, item_id: str) -> dict[str, Any]:
    """Attributes of one item for a person to read; empty for an unknown item."""
    row = table.rows.get(item_id)
    if row is None:
        return {}
    cells = {name: values[row] for name, values in table.columns.items()}
    return {n: [v for v in c if v is not None] if isinstance(c, np.ndarray) else c for n, c in cells.items()}
