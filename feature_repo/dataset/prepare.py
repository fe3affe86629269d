"""`make data`: fetch, read, clean, split, build the feature tables; all of it or nothing."""

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout

from feature_repo.core.errors import DatasetError, MissingArtifact
from feature_repo.core.workspace import Workspace, write_json
from feature_repo.dataset.clean import Cleaned, clean
from feature_repo.dataset.declaration import Dataset
from feature_repo.dataset.read import connect, read_entities, read_raw_events, refused_entities, source_files
from feature_repo.dataset.received import received_files
from feature_repo.dataset.retention import kept_from
from feature_repo.dataset.source import fetch
from feature_repo.dataset.split import split_by_time
from feature_repo.dataset.tombstone import NOBODY, Tombstones, read_tombstones
from feature_repo.transforms.build import build_tables
from feature_repo.transforms.engine import engine_name

# Raised when a transform changes meaning, so that tables built before are built again.
TABLES_VERSION = 4


def prepare(dataset: Dataset, workspace: Workspace, *, now: datetime) -> dict[str, object]:
    """Bring the workspace's events and feature tables up to date; returns the report that is also in data.json."""
    workspace.root.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(workspace.root / "data.lock", timeout=0):
            return _prepare(dataset, workspace, now=now)
    except Timeout:
        raise DatasetError(f"another run is preparing data in {workspace.root}: wait for it to end") from None


def _prepare(dataset: Dataset, workspace: Workspace, *, now: datetime) -> dict[str, object]:
    engine_name()  # an unknown one is refused before the work, not after it
    _refuse_other_dataset(dataset, workspace)
    dataset = fetch(dataset, workspace.root / "downloads")
    received, erased, since = received_files(workspace), read_tombstones(workspace), kept_from(workspace)
    fingerprint = fingerprint_of(dataset, received, erased, since)
    report_path = workspace.reports / "data.json"
    if workspace.events.exists() and report_path.exists():
        report: dict[str, object] = json.loads(report_path.read_text(encoding="utf-8"))
        if report.get("fingerprint") == fingerprint:
            return {**report, "reused": True}
    # What a killed run left here goes first.
    partial = workspace.store.with_name(f".{workspace.store.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        report = _write(dataset, Workspace(workspace.root, partial), received, erased, since, now=now)
        _swap(partial, workspace)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    report["fingerprint"] = fingerprint
    write_json(report_path, report)
    return {**report, "reused": False}


def active_dataset(workspace: Workspace) -> Dataset:
    """The declaration that the workspace's tables were built from."""
    path = workspace.events.with_name("dataset.json")
    if not path.exists():
        raise MissingArtifact(f"no data set is prepared in {workspace.root}: run `make data` first")
    return Dataset.model_validate_json(path.read_text(encoding="utf-8"))


def entity_rows(workspace: Workspace, key: str) -> Path:
    """The rows of the users or items table that the feature tables were built from; not there without such a table."""
    return workspace.events.with_name("users.parquet" if key == "user_id" else "items.parquet")


def fingerprint_of(
    dataset: Dataset, received: Sequence[Path] = (), erased: Tombstones = NOBODY, since: datetime | None = None
) -> str:
    """SHA-256 over the declaration, the bytes of every file that it names, the received events, who was erased, and
    the first moment whose events are kept."""
    digest = hashlib.sha256(f"{TABLES_VERSION} {dataset.model_dump_json(exclude={'base'})}".encode())
    for file in (*source_files(dataset), *received):
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    digest.update(" ".join(sorted(erased.hashes)).encode())
    digest.update(since.isoformat().encode() if since else b"")
    return digest.hexdigest()


def _refuse_other_dataset(dataset: Dataset, workspace: Workspace) -> None:
    try:
        active = active_dataset(workspace)
    except MissingArtifact:
        return
    if active.name != dataset.name:
        raise DatasetError(
            f"{workspace.root} holds the data set {active.name!r}, with its models; "
            f"give {dataset.name!r} a folder of its own: BUILD=build/{dataset.name}"
        )


def _write(
    dataset: Dataset,
    workspace: Workspace,
    received: Sequence[Path],
    erased: Tombstones,
    since: datetime | None,
    *,
    now: datetime,
) -> dict[str, object]:
    folder = workspace.events.parent
    folder.mkdir(parents=True)
    # Closed before the tables are built: the rows as they were read need memory, too.
    with connect() as connection:
        raw = read_raw_events(connection, dataset, received)
        cleaned = clean(connection, raw, dataset, now=now, erased=erased, since=since)
    pq.write_table(cleaned.events, workspace.events)
    pq.write_table(cleaned.quarantine, workspace.quarantine)
    entities: dict[str, pa.Table | None] = {"user_id": None, "item_id": None}
    refused_rows = {}
    for key, declared in (("user_id", dataset.users), ("item_id", dataset.items)):
        if declared:
            with connect() as connection:
                entities[key] = read_entities(connection, dataset, declared, key, erased).to_arrow_table()
                refused_rows[declared.path] = refused_entities(connection, key)
            pq.write_table(entities[key], entity_rows(workspace, key))
    write_json(folder / "split.json", {k: v.isoformat() for k, v in asdict(split_by_time(cleaned.events)).items()})
    build_tables(dataset, cleaned.events, users=entities["user_id"], items=entities["item_id"], folder=workspace.tables)
    (folder / "dataset.json").write_text(dataset.model_dump_json(indent=2), encoding="utf-8")
    return _report(dataset, cleaned, refused_rows, received=sum(pq.read_metadata(f).num_rows for f in received))


def _swap(partial: Path, workspace: Workspace) -> None:
    # data.json goes first: a kill between the two renames leaves a workspace that is built anew, not a mixed one.
    (workspace.reports / "data.json").unlink(missing_ok=True)
    workspace.store.mkdir(parents=True, exist_ok=True)
    for name in ("tables", "events"):
        shutil.rmtree(workspace.store / name, ignore_errors=True)
        (partial / name).replace(workspace.store / name)


def _report(
    dataset: Dataset, cleaned: Cleaned, refused_entities: dict[str, dict[str, int]], *, received: int
) -> dict[str, object]:
    events = cleaned.events
    return {
        "dataset": dataset.name,
        "read": cleaned.read,
        "events": events.num_rows,
        "users": len(events["user_id"].unique()),
        "items": len(events["item_id"].unique()),
        "received": received,
        "refused": cleaned.refused,
        "refused_entities": refused_entities,
    }
