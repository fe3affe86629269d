"""Item features in memory: a versioned, hashed Arrow snapshot that every process maps.

A store read for each candidate would cost more than everything else in a request, and items change slowly: so
`materialize` publishes all of them in one file, and a process looks them up by position. A pointer file names the
newest snapshot and its hash; a process that is running takes a new one over while it serves.
"""

import hashlib
import mmap
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from feature_repo.core.errors import MissingArtifact, StoreUnavailable
from feature_repo.core.workspace import Workspace, read_json, write_json
from feature_repo.features.columns import Columns, as_columns
from feature_repo.store.id_rows import IdRows

POINTER = "items.json"
KEPT = 3  # snapshot files: the newest, and those that a process may just be opening


@dataclass(frozen=True)
class ItemTable:
    """Raw item features by column; row i is `item_ids[i]`. `as_of` is the moment that they describe.

    `known` is False for an item that does not exist yet at that moment: a replay has room for it before it comes.
    """

    item_ids: "np.ndarray[tuple[int], np.dtype[np.object_]]"
    columns: Columns
    as_of: datetime
    rows: IdRows
    known: "np.ndarray[tuple[int], np.dtype[np.bool_]]"

    def __len__(self) -> int:
        return len(self.item_ids)


@dataclass(frozen=True)
class Snapshot:
    """What the pointer names: a file in `workspace.snapshots`, its SHA-256, and the moment that it describes."""

    file: str
    sha256: str
    as_of: datetime

    @property
    def version(self) -> str:
        return self.sha256[:16]


def item_table(table: pa.Table, as_of: datetime) -> ItemTable:
    """An item table from Arrow columns: item_id and any raw features."""
    ids = np.asarray(table["item_id"].to_numpy(), object)
    names = [name for name in table.column_names if name not in ("item_id", "event_timestamp")]
    columns = {name: _narrow(values) for name, values in as_columns(table, names).items()}
    return ItemTable(ids, columns, as_of, IdRows(ids), np.ones(len(ids), bool))


def _narrow(values: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """Padded lists of days and counts [m, longest] in 32 bits where they fit: they are most of the table's memory."""
    if values.ndim == 1 or values.dtype != np.int64 or max(-values.min(initial=0), values.max(initial=0)) >= 2**31:
        return values
    return values.astype(np.int32)


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
    _remove_old(workspace.snapshots)
    return path


def _remove_old(folder: Path) -> None:
    """Leave the newest snapshots. A process that has mapped an older file keeps what it mapped."""
    newest_first = sorted(folder.glob("items-*.arrow"), key=lambda file: file.stat().st_mtime_ns, reverse=True)
    for file in newest_first[KEPT:]:
        file.unlink(missing_ok=True)


def newest_snapshot(workspace: Workspace) -> Snapshot:
    """What the pointer names now.

    Raises:
        MissingArtifact: nothing was published yet.
        StoreUnavailable: the pointer is no pointer.
    """
    path = workspace.snapshots / POINTER
    try:
        pointer = read_json(path, made_by="make materialize")
        return Snapshot(str(pointer["file"]), str(pointer["sha256"]), datetime.fromisoformat(str(pointer["as_of"])))
    except (ValueError, KeyError, TypeError) as error:
        raise StoreUnavailable(
            f"{path.name} must be a JSON object with file, sha256 and as_of; got {error!r}"
        ) from None


def open_snapshot(workspace: Workspace, snapshot: Snapshot) -> ItemTable:
    """Map one snapshot after checking its hash.

    Raises:
        MissingArtifact: the file is not there.
        StoreUnavailable: it is not the file that was published, or only a part of it.
    """
    path = workspace.snapshots / snapshot.file
    if not path.exists():
        raise MissingArtifact(f"the item snapshot {path.name} is not there: run `make materialize`")
    if path.stat().st_size == 0:  # which cannot be mapped
        raise StoreUnavailable(f"{path.name}: expected SHA-256 {snapshot.sha256}; got an empty file")
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    found = hashlib.sha256(mapped).hexdigest()
    if found != snapshot.sha256:
        raise StoreUnavailable(f"{path.name}: expected SHA-256 {snapshot.sha256}; got {found}")
    table = item_table(pa.ipc.open_file(pa.py_buffer(mapped)).read_all(), snapshot.as_of)
    return replace(table, columns={name: narrowed(values) for name, values in table.columns.items()})


def narrowed(values: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """The same whole numbers in as few bytes as hold them; anything else as it is.

    Lists of days and counts are most of a table, and few of them need 8 bytes a number. Sums of them do not overflow:
    numpy adds small integers up in 8 bytes.
    """
    if values.dtype.kind != "i" or not values.size:
        return values
    least, most = values.min(), values.max()
    for kind in (np.int16, np.int32):
        if np.iinfo(kind).min <= least and most <= np.iinfo(kind).max:
            return values.astype(kind, copy=False)
    return values


def open_item_table(workspace: Workspace) -> ItemTable:
    """Map the newest snapshot after checking its hash."""
    return open_snapshot(workspace, newest_snapshot(workspace))


def attributes(table: ItemTable, item_id: str) -> dict[str, Any]:
    """Attributes of one item for a person to read; empty for an unknown item."""
    row = table.rows.get(item_id)
    if row is None:
        return {}
    cells = {name: values[row] for name, values in table.columns.items()}
    return {n: [v for v in c if v is not None] if isinstance(c, np.ndarray) else c for n, c in cells.items()}
