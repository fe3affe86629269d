"""Who the pseudonyms of the log are, and whose requests cannot be compared for that."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from feature_repo.core.workspace import Workspace
from feature_repo.dataset.prepare import entity_rows
from feature_repo.dataset.pseudonym import known_pseudonyms
from feature_repo.dataset.received import read_received
from feature_repo.dataset.request_log import require_key
from monitoring.skew.served import Served

Array = np.ndarray[Any, Any]

NOBODY_KNOWN = "of users that no table knows, served with features"
NOT_IN_TABLES = "of users with received events that the offline store does not have yet: run `make data`"


@dataclass(frozen=True)
class People:
    """The users' ids [r], and where requests can be compared: bool [r]; the others by reason."""

    user_ids: Array
    comparable: Array
    left_out: Mapping[str, int]


def people_of(workspace: Workspace, served: Served) -> People:
    """Look the pseudonyms of `served` up among the users of all tables.

    A user who is in none of them is a new one: nothing is known, and nothing may have been served.

    Raises:
        DatasetError: the log was written under another key, or the key is not there.
    """
    pseudonyms = known_pseudonyms(workspace)
    require_key(workspace, pseudonyms)
    newest = _not_in_tables(workspace)
    known = pseudonyms.by_pseudonym(sorted(_users(workspace) | newest.keys())) if pseudonyms else {}
    user_ids = np.array([known.get(name, name) for name in served.pseudonyms.tolist()], object)
    strange = np.array([name not in known for name in served.pseudonyms.tolist()], bool)
    filled = np.array([any(value not in (None, []) for value in row.values()) for row in served.rows], bool)
    first = np.array([newest.get(user, np.iinfo(np.int64).max) for user in user_ids.tolist()], np.int64)
    behind = first <= served.moments_us
    stranger = strange & filled & ~behind
    counts = {NOBODY_KNOWN: int(stranger.sum()), NOT_IN_TABLES: int(behind.sum())}
    return People(user_ids, ~(stranger | behind), {reason: count for reason, count in counts.items() if count})


def _users(workspace: Workspace) -> set[str]:
    found = set(pc.unique(pq.read_table(workspace.events, columns=["user_id"])["user_id"]).to_pylist())
    declared = entity_rows(workspace, "user_id")
    if declared.exists():
        found |= set(pc.unique(pq.read_table(declared, columns=["user_id"])["user_id"]).to_pylist())
    return found


def _not_in_tables(workspace: Workspace) -> dict[str, int]:
    """The first moment, UTC microseconds, of each user's received events that the event log does not hold."""
    received = read_received(workspace)
    there = pq.read_table(workspace.events, columns=["event_id"])["event_id"]
    missing = received.filter(pc.invert(pc.is_in(received["event_id"], there.combine_chunks().cast(pa.string()))))
    moments = missing["timestamp"].cast(pa.int64()).to_pylist()
    found: dict[str, int] = {}
    for user, moment, consent in zip(
        missing["user_id"].to_pylist(), moments, missing["consent"].to_pylist(), strict=True
    ):
        if consent is not False:
            found[user] = min(moment, found.get(user, moment))
    return found
