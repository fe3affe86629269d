"""Which events the online store's batch state holds: those are not the stream's to count."""

import uuid
from dataclasses import dataclass
from datetime import datetime

from feature_repo.core.workspace import Workspace, read_json, write_json
from feature_repo.dataset.split import to_microseconds

COVERAGE = "online.json"


@dataclass(frozen=True)
class Coverage:
    """The batch state holds every event of the event log before `until_us` (UTC microseconds).

    `generation` is another one each time the online store is filled.
    """

    until_us: int
    generation: str


def write_coverage(workspace: Workspace, *, until: datetime) -> None:
    """Say that the online store now holds the state of the event log before `until`."""
    write_json(workspace.snapshots / COVERAGE, {"until": until.isoformat(), "generation": uuid.uuid4().hex})


def read_coverage(workspace: Workspace) -> Coverage:
    """What the last `make materialize` covered.

    Raises:
        MissingArtifact: it never ran.
    """
    written = read_json(workspace.snapshots / COVERAGE, made_by="make materialize")
    return Coverage(to_microseconds(datetime.fromisoformat(str(written["until"]))), str(written["generation"]))
