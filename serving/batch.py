"""`make recommend-batch`: a slate for every user, made by what answers requests, for mails and for the cache."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from feature_repo.core.errors import RecommenderError
from feature_repo.core.workspace import Workspace
from serving.batch_plan import SLATE_SCHEMA, Batch, finish, open_batch, plan_of, users_of
from serving.http import RecommendQuery

if TYPE_CHECKING:
    from serving.runtime import Runtime

SECONDS = 10.0  # an answer's time: nobody waits for it, and a slate that went without a part would be mailed
MOST_DEGRADED = 0.05  # share of a part; above it something is down, and it is better to go on later


class BatchStopped(RecommenderError):
    """Too many slates of a part went without something; what is whole is kept, and the next run goes on."""


@dataclass(frozen=True)
class Written:
    """A complete batch: where it is, users in it, parts that an earlier run had written, slates without a part."""

    folder: Path
    users: int
    parts: int
    kept_parts: int
    degraded: int


def run_batch(
    workspace: Workspace,
    runtime: "Runtime",
    *,
    k: int,
    part: int,
    moment: datetime,
    now: datetime,
    on_start: Callable[[int, int], object],
    on_user: Callable[[], object],
) -> Written:
    """Write the slates of all users, `part` of them in one file; goes on where a killed run of the same plan was.

    `on_start` gets the users in all and those that are done.

    Raises:
        MissingArtifact: the data were not prepared or not materialized.
        BatchStopped: a part of the service is down.
    """
    if reason := runtime.not_ready():
        raise BatchStopped(f"slates for everybody need a service that is ready; {reason}")
    users = users_of(workspace)
    plan = plan_of(workspace, users, version=runtime.settings.version, k=k, part=part)
    batch = open_batch(workspace, plan, moment=moment, now=now)
    missing = batch.missing
    on_start(plan.count, plan.count - sum(len(users[n * part : (n + 1) * part]) for n in missing))
    degraded = 0
    for number in missing:
        table = _slates(runtime, batch, users[number * part : (number + 1) * part], on_user)
        degraded += _checked(table, batch, number)
        _write(table, batch.part(number))
    finish(workspace, batch)
    return Written(batch.folder, plan.count, plan.parts, plan.parts - len(missing), degraded)


def open_for_batch(workspace: Workspace) -> "Runtime":
    """The runtime that the environment describes, with time for every answer. Its request log stays closed."""
    from serving.settings import from_env
    from serving.start import open_runtime

    patient = {"deadline_ms": SECONDS * 1_000, "store_ms": SECONDS * 500}
    return open_runtime(from_env(workspace).model_copy(update=patient), workspace)


def _slates(runtime: "Runtime", batch: Batch, users: Sequence[str], on_user: Callable[[], object]) -> pa.Table:
    rows = []
    for user in users:
        query = RecommendQuery(
            user_id=user, k=batch.plan.k, moment=batch.moment, context={}, exclude=frozenset(), session=()
        )
        answer = runtime.answer(query, now=batch.moment)
        items = answer.slate.items
        rows.append(
            {
                "user_id": user,
                "item_ids": [item.item_id for item in items],
                "scores": [item.score for item in items],
                "sources": [item.source for item in items],
                "propensities": [item.propensity for item in items],
                "degraded": list(answer.degraded),
                "model_version": runtime.settings.version,
                "moment": batch.moment.astimezone(UTC),
            }
        )
        on_user()
    return pa.Table.from_pylist(rows, SLATE_SCHEMA)


def _checked(table: pa.Table, batch: Batch, number: int) -> int:
    """How many slates of a part are degraded.

    Raises:
        BatchStopped: they are too many.
    """
    parts = [part for row in table["degraded"].to_pylist() for part in row]
    count = sum(1 for row in table["degraded"].to_pylist() if row)
    if count > MOST_DEGRADED * table.num_rows:
        raise BatchStopped(
            f"part {number} of {batch.folder.name} has {count} of {table.num_rows} slates without "
            f"{', '.join(sorted(set(parts)))}: at most {MOST_DEGRADED:.0%} may be; run it again when all is up"
        )
    return count


def _write(table: pa.Table, path: Path) -> None:
    """A part is whole or not there, after a power cut, too."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as stream:
            pq.write_table(table, stream)
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
