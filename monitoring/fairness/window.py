"""Reads a replayed window: what two versions showed to the same requests, who asked, and what was known before."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from scipy import sparse

from feature_repo.core.errors import MissingArtifact, NotMeasurable
from feature_repo.core.workspace import Workspace
from monitoring.fairness.declared import declared_groups, item_vectors
from monitoring.fairness.groups import Grouping, item_groups, merged_groups
from monitoring.fairness.policy import FairnessPolicy
from training.evaluation.slate_rows import slates_name

Array = np.ndarray[Any, Any]

ACTIVITY = "activity"


@dataclass(frozen=True)
class Shown:
    """Of one version: `slates` rows of the catalogue [r, k], -1 where shorter; `hits` bool [r, k]; `relevant` [r]."""

    slates: Array
    hits: Array
    relevant: Array


@dataclass(frozen=True)
class FairnessWindow:
    """r requests of `users` people over a catalogue of m items. `shown` is by version, the champion first.

    `user` [r] numbers who asked, `moments_us` [r]; `history` [r, m] counts the user's latest items before the request;
    `item_group` str [m]; `vectors` [m, c] are the declared categories of the items, None where there are none.
    """

    shown: Mapping[str, Shown]
    user: Array
    users: int
    moments_us: Array
    groupings: tuple[Grouping, ...]
    not_judged: tuple[str, ...]
    item_group: Array
    history: sparse.csr_array
    vectors: sparse.csr_array | None


@dataclass(frozen=True)
class _Log:
    """n events before the window's end: user and item as numbers [n], microseconds [n]; the ids of both."""

    user: Array
    item: Array
    moments_us: Array
    user_ids: Array
    item_ids: Array


def read_fairness_window(
    workspace: Workspace, versions: Sequence[str], policy: FairnessPolicy, *, start_us: int, end_us: int
) -> FairnessWindow:
    """The window of [start_us, end_us) as `make evaluate` replayed it with each of `versions`.

    Raises:
        MissingArtifact: the slates of a version are not there.
        NotMeasurable: the window is empty, holds a request twice, or the versions answered different requests.
    """
    tables = {version: _slates(workspace.reports / slates_name(version)) for version in versions}
    first = _checked(tables)
    log = _read_log(workspace, end_us, shown=[item for t in tables.values() for item in _items(t)])
    asked_by = first["user_id"].to_pylist()
    _, user = np.unique(np.array(asked_by, object), return_inverse=True)
    moments_us = first["moment"].cast(pa.timestamp("us", "UTC")).cast(pa.int64()).to_numpy()
    labels = {ACTIVITY: np.array(first["segment"].to_pylist(), object)}
    labels |= declared_groups(workspace, asked_by, policy, start_us)
    found = {name: merged_groups(name, of, user, least_users=policy.least_users) for name, of in labels.items()}
    rows = {item: row for row, item in enumerate(log.item_ids.tolist())}
    before = log.moments_us < start_us
    first_us = np.full(len(rows), np.iinfo(np.int64).max)
    np.minimum.at(first_us, log.item, log.moments_us)
    return FairnessWindow(
        shown={version: _shown(table, rows) for version, table in tables.items()},
        user=user,
        users=int(user.max()) + 1,
        moments_us=moments_us,
        groupings=tuple(grouping for grouping in found.values() if grouping is not None),
        not_judged=tuple(name for name, grouping in found.items() if grouping is None),
        item_group=item_groups(
            np.bincount(log.item[before], minlength=len(rows)),
            first_us,
            start_us=start_us,
            head_share=policy.head_share,
            new_days=policy.new_days,
        ),
        history=_history(log, asked_by, moments_us, policy.history_items),
        vectors=item_vectors(workspace, rows, start_us),
    )


def _slates(path: Path) -> pa.Table:
    if not path.exists():
        raise MissingArtifact(f"{path.name} is not there: run `make evaluate` first (looked in {path.parent})")
    return pq.read_table(path)


def _checked(tables: Mapping[str, pa.Table]) -> pa.Table:
    champion, *others = tables
    first = tables[champion]
    if not first.num_rows:
        raise NotMeasurable("fairness needs a window with requests; got an empty one")
    twice = first.num_rows - pc.count_distinct(first["request_id"]).as_py()
    if twice:
        raise NotMeasurable(f"fairness needs one row for each request; got {twice} of {first.num_rows} twice")
    for version in others:
        if tables[version]["request_id"].to_pylist() != first["request_id"].to_pylist():
            counts = f"{first.num_rows} of version {champion}, {tables[version].num_rows} of version {version}"
            raise NotMeasurable(f"fairness compares versions on the same requests; got {counts} that differ")
    return first


def _items(table: pa.Table) -> list[str]:
    return list(pc.unique(table["slate"].combine_chunks().flatten()).to_pylist())


def _read_log(workspace: Workspace, end_us: int, *, shown: Sequence[str]) -> _Log:
    """The log before the window's end; items that were only ever shown belong to the catalogue, too."""
    events = pq.read_table(workspace.events, columns=["user_id", "item_id", "timestamp"])
    stamps = events["timestamp"].cast(pa.timestamp("us", "UTC")).cast(pa.int64()).to_numpy()
    kept = stamps < end_us
    users, items = (events[name].combine_chunks().dictionary_encode() for name in ("user_id", "item_id"))
    met = items.dictionary.to_pylist()
    item_ids = np.array([*met, *sorted(set(shown) - set(met))], object)
    user, item = (np.asarray(one.indices.to_numpy(), np.int64)[kept] for one in (users, items))
    return _Log(user, item, stamps[kept], np.asarray(users.dictionary.to_pylist(), object), item_ids)


def _shown(table: pa.Table, rows: Mapping[str, int]) -> Shown:
    lists = table["slate"].combine_chunks()
    lengths = pc.list_value_length(lists).to_numpy(zero_copy_only=False).astype(np.int64)
    places = np.arange(max(1, int(lengths.max())))[None, :] < lengths[:, None]
    slates, hits = np.full(places.shape, -1, np.int64), np.zeros(places.shape, bool)
    slates[places] = [rows[item] for item in lists.flatten().to_pylist()]
    hits[places] = table["hits"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return Shown(slates, hits, table["relevant"].to_numpy())


def _history(log: _Log, asked_by: Sequence[str], moments_us: Array, longest: int) -> sparse.csr_array:
    """How often each of the user's `longest` latest items was met before each request [r, m]."""
    numbers = {user: number for number, user in enumerate(log.user_ids.tolist())}
    asker = np.array([numbers.get(user, -1) for user in asked_by])
    order = np.lexsort((log.moments_us, log.user))
    users, stamps, items = log.user[order], log.moments_us[order], log.item[order]
    # Both kinds in one order: a request comes before the events of its own moment.
    kind = np.concatenate([np.zeros(len(asker), int), np.ones(len(users), int)])
    together = np.lexsort((kind, np.concatenate([moments_us, stamps]), np.concatenate([asker, users])))
    behind = np.cumsum(kind[together])
    end = np.empty(len(asker), np.int64)
    is_request = kind[together] == 0
    end[together[is_request]] = behind[is_request]
    begin = np.maximum(np.searchsorted(users, asker), end - longest)
    lengths = end - begin
    ends = np.concatenate([[0], np.cumsum(lengths)])
    places = np.arange(ends[-1]) + np.repeat(begin - ends[:-1], lengths)
    history = sparse.csr_array((np.ones(ends[-1]), items[places], ends), shape=(len(asker), len(log.item_ids)))
    history.sum_duplicates()
    return history
