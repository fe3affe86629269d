"""The ranker's training set from the request log ("log and wait"): the matrix as served, joined to what followed.

What a model is served with is what it learns from, whatever the stores say of that moment later. The price is to wait:
there is a row only for what was asked, and only when its attribution window is over. The matrix is made of the served
version's own retrievers and fitted parameters, so the run goes on from that version, and no other version's rows count.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from feature_repo.core.errors import DatasetError
from feature_repo.core.workspace import Workspace
from feature_repo.dataset.pseudonym import known_pseudonyms
from feature_repo.dataset.request_log import read_request_log, require_key
from training.ranking.attribution import NONE, Asked, Happened, answered_requests
from training.ranking.candidates import RankerRows
from training.ranking.relevance import answers
from training.replay import Moment

Array = np.ndarray[Any, Any]

READ = (
    "request_id",
    "received_at",
    "moment",
    "user_id",
    "model_version",
    "degraded",
    "candidates",
    "scores",
    "features",
)


@dataclass(frozen=True)
class LogSource:
    """`version` served the rows; an event answers a request for `window` after it; `least` of them must have one."""

    version: str
    window: timedelta = timedelta(hours=24)
    least: int = 100


def logged_rows(
    workspace: Workspace,
    source: LogSource,
    *,
    feature_names: Sequence[str],
    since: datetime,
    until: datetime,
    event_types: tuple[str, ...],
) -> RankerRows:
    """Requests of [since, until) whose windows end by `until`, with the events before it that answer them.

    `champion` of the rows are the scores that were served. Events of a negative weight are answers of their type, too.

    Raises:
        DatasetError: fewer than `source.least` requests have an answer among their candidates; or the pseudonyms' key
            is not there.
    """
    log = read_request_log(workspace, [*READ, "feature_names"])
    table, left_out = usable(log, source, feature_names=feature_names, since=since, until=until)
    asked, happened, events = _joinable(workspace, table, since=since, until=until)
    found = answered_requests(asked, happened, window_us=source.window // timedelta(microseconds=1))
    answering = [(int(place), *events[at]) for at, place in enumerate(found) if place != NONE]
    rows = _rows(table, asked, answering, event_types)
    enough = len(np.unique(rows.request[rows.relevance > 0]))
    if enough < source.least:
        reasons = ", ".join(f"{count} {reason}" for reason, count in left_out.items() if count)
        raise DatasetError(
            f"training from the request log needs {source.least} requests of version {source.version} with an event "
            f"on one of their candidates within {source.window}; got {enough} of {log.num_rows} logged"
            f"{f' ({reasons})' if reasons else ''}: serve it for longer, bring the events in with `make data`, or "
            "train without SOURCE=log"
        )
    return rows


def usable(
    log: pa.Table, source: LogSource, *, feature_names: Sequence[str], since: datetime, until: datetime
) -> tuple[pa.Table, Mapping[str, int]]:
    """The rows of the log to learn from, by moment, and how many were left out for which reason."""
    wanted, last = list(feature_names), until - source.window
    reasons: Counter[str] = Counter()
    kept = []
    read = (log[name].to_pylist() for name in ("model_version", "degraded", "moment", "feature_names"))
    for place, (version, degraded, moment, names) in enumerate(zip(*read, strict=True)):
        tests = {
            "of other versions": version != source.version,
            "degraded": bool(degraded),
            f"before {since.isoformat()}": moment < since,
            "whose attribution window is not over": moment > last,
            "with other features": names != wanted,
        }
        reason = next((reason for reason, holds in tests.items() if holds), None)
        if reason is None:
            kept.append(place)
        else:
            reasons[reason] += 1
    return log.take(pa.array(kept, pa.int64())).sort_by([("moment", "ascending"), ("request_id", "ascending")]), reasons


def _joinable(
    workspace: Workspace, table: pa.Table, *, since: datetime, until: datetime
) -> tuple[Asked, Happened, list[tuple[str, str]]]:
    """Requests and events under the same names of users, and (item, event type) of each event."""
    columns = ["user_id", "item_id", "timestamp", "event_type", "request_id"]
    events = pq.read_table(workspace.events, columns=columns)
    inside = pc.and_(pc.greater_equal(events["timestamp"], since), pc.less(events["timestamp"], until))
    pseudonyms = known_pseudonyms(workspace)
    require_key(workspace, pseudonyms)
    people = pseudonyms.by_pseudonym(pc.unique(events["user_id"]).to_pylist()) if pseudonyms else {}
    events = events.filter(inside)
    asked = Asked(
        np.array(table["request_id"].to_pylist(), object),
        # Who is in no event has no answers; the pseudonym will do.
        np.array([people.get(name, name) for name in table["user_id"].to_pylist()], object),
        table["moment"].cast(pa.int64()).to_numpy(),
    )
    happened = Happened(
        np.array(events["user_id"].to_pylist(), object),
        events["timestamp"].cast(pa.timestamp("us", "UTC")).cast(pa.int64()).to_numpy(),
        np.array(events["request_id"].to_pylist(), object),
    )
    return asked, happened, list(zip(events["item_id"].to_pylist(), events["event_type"].to_pylist(), strict=True))


def _rows(
    table: pa.Table, asked: Asked, answering: Sequence[tuple[int, str, str]], event_types: tuple[str, ...]
) -> RankerRows:
    lists = {name: table[name].combine_chunks() for name in ("candidates", "scores", "features")}
    counts = pc.list_value_length(lists["candidates"]).to_numpy(zero_copy_only=False).astype(np.int64)
    request = np.repeat(np.arange(table.num_rows), counts)
    item_ids = np.array(lists["candidates"].flatten().to_pylist(), object)
    cells = lists["features"].flatten().flatten().to_numpy(zero_copy_only=False)
    matrix = cells.reshape(len(request), -1) if len(request) else np.zeros((0, 0), np.float32)
    answered = answers(request, item_ids, answering, event_types)
    scores = lists["scores"].flatten().to_numpy(zero_copy_only=False)
    return RankerRows(matrix, answered, event_types, request, item_ids, _moments(asked, answering), scores)


def _moments(asked: Asked, answering: Sequence[tuple[int, str, str]]) -> list[Moment]:
    """Each request with the items that answered it; which of them were candidates the rows say."""
    items: list[dict[str, str]] = [{} for _ in asked.request_ids]
    for number, item, kind in answering:
        items[number].setdefault(item, kind)
    requests = zip(asked.user_ids.tolist(), asked.moments_us.tolist(), items, strict=True)
    return [Moment(user, moment, tuple(met), {}, tuple(met.values())) for user, moment, met in requests]


def log_fingerprint(workspace: Workspace, source: LogSource) -> str:
    """What a run from the log depends on besides data and settings: another row is another run."""
    log = read_request_log(workspace, ["request_id", "received_at", "model_version"])
    rows = pc.sum(pc.equal(log["model_version"], source.version)).as_py() or 0
    newest = pc.max(log["received_at"]).as_py()
    return f"log {source.version} {source.window} {source.least} {rows} {newest}"
