"""Who is in the event log besides the person."""

import pyarrow.parquet as pq

from feature_repo.core.errors import DatasetError
from feature_repo.core.workspace import Workspace
from training.erase.arrow import USER_COLUMN


def known_ids(workspace: Workspace) -> set[str]:
    """Every id of a user or an item in the event log."""
    if not workspace.events.exists():
        return set()
    events = pq.read_table(workspace.events, columns=[USER_COLUMN, "item_id"])
    return {value for column in events.columns for value in column.unique().to_pylist()}


def refuse_nobody_else(workspace: Workspace, user_id: str) -> None:
    """Nothing can be built from an empty log.

    Raises:
        DatasetError: every event is the person's.
    """
    if not workspace.events.exists():
        return
    users = pq.read_table(workspace.events, columns=[USER_COLUMN])[USER_COLUMN].unique().to_pylist()
    if users == [user_id]:
        raise DatasetError(
            f"every event in {workspace.events.parent} is this user's, so nothing would be left to build from: "
            f"remove {workspace.root} and {workspace.store}"
        )
