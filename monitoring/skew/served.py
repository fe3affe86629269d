"""The door of the request log: which of its rows can be compared, and what is wrong with the others."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from feature_repo.dataset.request_log_schema import REQUEST_LOG_SCHEMA

Array = np.ndarray[Any, Any]

READ = (
    "request_id",
    "received_at",
    "moment",
    "user_id",
    "model_version",
    "degraded",
    "user_features",
    "candidates",
    "features",
    "feature_names",
)
NO_ROW, OTHER_FEATURES = "without a user row", "with other features than the version has"


@dataclass(frozen=True)
class Served:
    """r requests as they were served, oldest first.

    request_ids and pseudonyms [r]; the moments that they ask about and those of their arrival [r] in UTC microseconds;
    raw user rows [r]; n candidates: `request` [n] ascending, item_ids [n], the ranker's matrix [n, f].
    """

    request_ids: Array
    pseudonyms: Array
    moments_us: Array
    received_us: Array
    rows: Sequence[Mapping[str, Any]]
    request: Array
    item_ids: Array
    matrix: Array

    def __len__(self) -> int:
        return len(self.request_ids)

    def of(self, places: Array) -> "Served":
        """Only the requests at `places`, ascending."""
        number = np.full(len(self), -1)
        number[places] = np.arange(len(places))
        kept = np.flatnonzero(number[self.request] >= 0)
        return Served(
            self.request_ids[places],
            self.pseudonyms[places],
            self.moments_us[places],
            self.received_us[places],
            [self.rows[place] for place in places.tolist()],
            number[self.request[kept]],
            self.item_ids[kept],
            self.matrix[kept],
        )


@dataclass(frozen=True)
class Opened:
    """`served` are the rows to compare, `left_out` counts the others by reason, `findings` say what no log may be."""

    served: Served
    logged: int
    left_out: Mapping[str, int]
    findings: tuple[str, ...]


def type_findings(files: Sequence[Path]) -> tuple[str, ...]:
    """A sentence for each column of READ that a file lacks or holds in another type: its rows mean something else."""
    found: dict[str, None] = {}
    for file in files:
        kinds = {field.name: field.type for field in pq.read_schema(file)}
        for name in READ:
            expected = REQUEST_LOG_SCHEMA.field(name).type
            if name not in kinds:
                found[f"the request log misses the column {name}, first in {file.name}"] = None
            elif _plain(kinds[name]) != _plain(expected):
                sentence = f"{name} of the request log is {expected}; got {kinds[name]}, first in {file.name}"
                found[sentence] = None
    return tuple(found)


def _plain(kind: pa.DataType) -> str:
    """A type without the names that writers give to the elements of lists."""
    return f"list<{_plain(kind.value_type)}>" if pa.types.is_list(kind) else str(kind)


def open_served(log: pa.Table, *, version: str, feature_names: Sequence[str], newest: int) -> Opened:
    """The newest rows of `version` in `log`, sorted by moment of arrival, that say all that is compared."""
    ids = log["request_id"].to_pylist()
    repeated = {name: count for name, count in Counter(ids).items() if count > 1}
    first = {name: place for place, name in reversed(list(enumerate(ids)))}
    reasons: Counter[str] = Counter()
    kept, names = [], list(feature_names)
    whole = _whole(log, len(names))
    read = (log[name].to_pylist() for name in ("model_version", "degraded", "user_features", "feature_names"))
    for place, (written, degraded, row, features) in enumerate(zip(*read, strict=True)):
        changed = features != names or not whole[place]
        reason = _left_out(written != version, place != first[ids[place]], bool(degraded), row, changed)
        if reason is None:
            kept.append(place)
        else:
            reasons[reason] += 1
    findings = _findings(repeated, reasons, kept)
    if len(kept) > newest:
        reasons[f"older than the newest {newest:,}"] = len(kept) - newest
    table = log.take(pa.array(kept[-newest:], pa.int64()))
    return Opened(_served(table, len(names)), log.num_rows, dict(reasons), findings)


def _left_out(other: bool, copy: bool, degraded: bool, row: str | None, changed: bool) -> str | None:
    tests = {
        "of other versions": other,
        "copies of a request that was logged before": copy,
        "degraded": degraded,
        NO_ROW: row is None,
        OTHER_FEATURES: changed,
    }
    return next((reason for reason, holds in tests.items() if holds), None)


def _whole(log: pa.Table, width: int) -> Array:
    """Whether each row has a list of `width` features for each candidate, bool [rows]."""
    lists = {name: log[name].combine_chunks() for name in ("candidates", "features")}
    count, rows = (pc.list_value_length(lists[name]).to_numpy(zero_copy_only=False) for name in lists)
    of_row = pc.list_parent_indices(lists["features"]).to_numpy(zero_copy_only=False)
    widths = pc.list_value_length(lists["features"].flatten()).to_numpy(zero_copy_only=False)
    whole: Array = count == rows
    whole[of_row[widths != width]] = False
    return whole


def _findings(repeated: Mapping[str, int], reasons: Mapping[str, int], kept: Sequence[int]) -> tuple[str, ...]:
    found = []
    if repeated:
        extra = sum(repeated.values()) - len(repeated)
        found.append(f"{extra} rows of the request log repeat a request_id: a request is logged once")
    odd = (NO_ROW, OTHER_FEATURES)
    found += [f"{reasons[name]} requests {name} beside {len(kept)} that have one" for name in odd if reasons.get(name)]
    return tuple(found)


def _served(table: pa.Table, width: int) -> Served:
    lists = {name: table[name].combine_chunks() for name in ("candidates", "features")}
    counts = pc.list_value_length(lists["candidates"]).to_numpy(zero_copy_only=False).astype(np.int64)
    cells = lists["features"].flatten().flatten().to_numpy(zero_copy_only=False)
    return Served(
        np.array(table["request_id"].to_pylist(), object),
        np.array(table["user_id"].to_pylist(), object),
        table["moment"].cast(pa.int64()).to_numpy(),
        table["received_at"].cast(pa.int64()).to_numpy(),
        [_row(text) for text in table["user_features"].to_pylist()],
        np.repeat(np.arange(table.num_rows), counts),
        np.array(lists["candidates"].flatten().to_pylist(), object),
        cells.reshape(-1, width) if len(cells) else np.zeros((0, width), np.float32),
    )


def _row(text: str) -> Mapping[str, Any]:
    found = json.loads(text)
    return found if isinstance(found, dict) else {}
