"""What a batch of slates consists of, and where it lies.

    slates/<batch>/batch.json          the plan below, and whether it is complete
    slates/<batch>/part-00000.parquet  SLATE_SCHEMA, one row a user, users ascending over all parts
    slates/current.json                {"batch": name} of the newest complete batch

A part is whole or not there, and a batch whose process was killed is gone on with by the next one that has the same
plan. A reader opens current.json and reads that folder's parts; the two newest complete batches stay.
"""

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from feature_repo.core.errors import MissingArtifact
from feature_repo.core.workspace import Workspace, read_json, write_json
from feature_repo.dataset.tombstone import read_tombstones

FORMAT = 1
KEPT = 2  # complete batches: whoever reads the one before the newest may finish
SLATE_SCHEMA = pa.schema(
    [
        pa.field("user_id", pa.string(), nullable=False),
        pa.field("item_ids", pa.list_(pa.string()), nullable=False),  # best first
        pa.field("scores", pa.list_(pa.float32()), nullable=False),
        pa.field("sources", pa.list_(pa.string()), nullable=False),
        pa.field("propensities", pa.list_(pa.float32()), nullable=False),
        pa.field("degraded", pa.list_(pa.string()), nullable=False),
        pa.field("model_version", pa.string(), nullable=False),
        pa.field("moment", pa.timestamp("us", tz="UTC"), nullable=False),
    ]
)


@dataclass(frozen=True)
class Plan:
    """The same plan means slates that belong together. `data` is the fingerprint of the prepared data, `generation`
    that of the online store's batch state, `users` the hash of all ids, `part` users in one file."""

    version: str
    data: str
    generation: str
    users: str
    count: int
    k: int
    part: int

    @property
    def parts(self) -> int:
        return -(-self.count // self.part)


@dataclass(frozen=True)
class Batch:
    """A batch on disk; every slate in it is for `moment`."""

    folder: Path
    plan: Plan
    moment: datetime

    def part(self, number: int) -> Path:
        return self.folder / f"part-{number:05d}.parquet"

    @property
    def missing(self) -> list[int]:
        return [number for number in range(self.plan.parts) if not self.part(number).exists()]

    def write_state(self, *, complete: bool) -> None:
        state = {"format": FORMAT, "moment": self.moment.isoformat(), "complete": complete, "plan": asdict(self.plan)}
        write_json(self.folder / "batch.json", state)


def users_of(workspace: Workspace) -> list[str]:
    """Every user with an event who was not erased, ascending.

    Raises:
        MissingArtifact: there are no feature tables.
    """
    table = workspace.tables / "user_activity.parquet"
    if not table.exists():
        raise MissingArtifact(f"{table.name} is not there: run `make data` first (looked in {table.parent})")
    users = sorted(pc.unique(pq.read_table(table, columns=["user_id"])["user_id"]).to_pylist())
    gone = set(read_tombstones(workspace).among(users))
    return [user for user in users if user not in gone]


def plan_of(workspace: Workspace, users: Sequence[str], *, version: str, k: int, part: int) -> Plan:
    """The plan for `users` and the data as they are now."""
    from feature_repo.store.coverage import read_coverage

    digest = hashlib.sha256("\x1f".join(users).encode("utf-8", "surrogatepass")).hexdigest()
    data = str(read_json(workspace.reports / "data.json", made_by="make data")["fingerprint"])
    generation = read_coverage(workspace).generation
    return Plan(version=version, data=data, generation=generation, users=digest, count=len(users), k=k, part=part)


def open_batch(workspace: Workspace, plan: Plan, *, moment: datetime, now: datetime) -> Batch:
    """The unfinished batch of `plan`, whatever its moment, or a new one for `moment`, named by the time `now`."""
    for folder in sorted(batch_folders(workspace), reverse=True):
        state = _state(folder)
        if state["plan"] == asdict(plan) and not state["complete"]:
            return Batch(folder, plan, datetime.fromisoformat(state["moment"]))
    name = f"{now.astimezone(UTC).strftime('%Y%m%dT%H%M%S%f')}-v{plan.version}"
    batch = Batch(workspace.slates / name, plan, moment)
    batch.write_state(complete=False)
    return batch


def finish(workspace: Workspace, batch: Batch) -> None:
    """Make `batch` the current one, and remove what nobody reads any more: older batches, and unfinished ones."""
    batch.write_state(complete=True)
    write_json(workspace.slates / "current.json", {"batch": batch.folder.name})
    others = [folder for folder in sorted(batch_folders(workspace)) if folder != batch.folder]
    complete = [folder for folder in others if _state(folder)["complete"]]
    for folder in others:
        if folder not in complete[-(KEPT - 1) :]:
            shutil.rmtree(folder)


def current_batch(workspace: Workspace) -> Path:
    """The folder of the newest complete batch.

    Raises:
        MissingArtifact: there is none yet.
    """
    return workspace.slates / str(read_json(workspace.slates / "current.json", made_by="make recommend-batch")["batch"])


def batch_folders(workspace: Workspace) -> list[Path]:
    return [file.parent for file in workspace.slates.glob("*/batch.json")]


def _state(folder: Path) -> dict[str, Any]:
    state: dict[str, Any] = json.loads((folder / "batch.json").read_text(encoding="utf-8"))
    return state
