"""How far back events are kept. What is older stops at the door, however often the team's own files bring it again."""

import os
from datetime import UTC, datetime

import duckdb

from feature_repo.core.errors import DatasetError
from feature_repo.core.workspace import Workspace, read_json, write_json
from feature_repo.dataset.emptied import empty_rows

TOO_OLD = "event is older than the retention limit"
FILE = "retention.json"


def kept_from(workspace: Workspace) -> datetime | None:
    """The first moment whose events are kept; None where nothing limits them.

    Raises:
        DatasetError: the limit cannot be read, so nobody knows what may be kept.
    """
    path = workspace.store / FILE
    if not path.exists():
        return None
    try:
        moment = datetime.fromisoformat(str(read_json(path, made_by="python -m monitoring retain")["events_from"]))
    except (ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"{path} must say events_from, a moment in ISO 8601; got {error!r}") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def keep_from(workspace: Workspace, moment: datetime) -> None:
    """Keep only events from `moment` on, with the next `make data`; on disk before this returns. It never goes back."""
    before = kept_from(workspace)
    if before is not None and before >= moment:
        return
    write_json(workspace.store / FILE, {"events_from": moment.isoformat()})
    descriptor = os.open(workspace.store, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def refuse_too_old(connection: duckdb.DuckDBPyConnection, table: str, since: datetime | None) -> None:
    """Empty the rows of `table` from before `since`: they are counted and not kept in quarantine, either."""
    if since is not None:
        moment = since.astimezone(UTC).isoformat()
        empty_rows(connection, table, where=f"timestamp < TIMESTAMPTZ '{moment}'", reason=TOO_OLD)
