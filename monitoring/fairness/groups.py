"""Groups of users and of items. No group of users is smaller than the policy allows: smaller ones are merged."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from feature_repo.core.k_anonymity import merged

Array = np.ndarray[Any, Any]

UNKNOWN = "not declared"
HEAD, TAIL, NEW = "head", "tail", "new"
DAY_US = 86_400_000_000
_EDGE = re.compile(r"(up to|above) (-?[\d.]+(?:e[+-]?\d+)?)(?:,|$)")


@dataclass(frozen=True)
class Grouping:
    """The requests of one attribute: `labels` str [requests]; `merged` counts the groups that are no more."""

    attribute: str
    labels: Array
    merged: int = 0

    @property
    def groups(self) -> list[str]:
        """The names in the order in which people look for them: parts of a range by their edges."""
        return sorted(set(self.labels.tolist()), key=_place)


def merged_groups(attribute: str, labels: Array, user: Array, *, least_users: int) -> Grouping | None:
    """Merge groups of fewer than `least_users` people; None where that leaves no two groups.

    `labels` and `user` are [requests]; a user may be in several groups, at different requests.
    """
    names = merged(labels, user, k=least_users)
    left = set(names.tolist())
    if None in left or len(left) < 2:
        return None
    return Grouping(attribute, names, merged=len(set(labels.tolist()) - left))


def attribute_labels(values: list[Any], *, numeric: bool, groups: int) -> Array:
    """The group of each value, str [n]: the value itself, or for numbers the part between two quantiles."""
    known = np.array([value is not None and value == value for value in values])
    if not numeric:
        return np.array([str(v) if k else UNKNOWN for v, k in zip(values, known, strict=True)], object)
    labels = np.full(len(values), UNKNOWN, object)
    numbers = np.array([float(v) for v, k in zip(values, known, strict=True) if k])
    if len(numbers):
        edges = np.unique(np.quantile(numbers, np.linspace(0, 1, groups + 1)[1:-1]))
        names = _part_names(edges)
        labels[known] = [names[place] for place in np.searchsorted(edges, numbers, side="left")]
    return labels


def _place(name: str) -> tuple[float, bool, str]:
    edge = _EDGE.match(name)
    return (float(edge[2]), edge[1] == "above", "") if edge else (np.inf, False, name)


def _part_names(edges: Array) -> list[str]:
    cuts = [f"{edge:g}" for edge in edges]
    between = [f"above {low}, up to {high}" for low, high in pairwise(cuts)]
    return [f"up to {cuts[0]}", *between, f"above {cuts[-1]}"]


def item_groups(events: Array, first_us: Array, *, start_us: int, head_share: float, new_days: float) -> Array:
    """Head, tail or new for each item of the catalogue, str [m].

    `events` [m] counts the log before the window that starts at `start_us`; `first_us` [m] is an item's first event.
    New: first met within `new_days` before the window, or in it. Head: the `head_share` of the known items with the
    most events, the short head of Anderson's and Celma's long tail.
    """
    labels = np.full(len(events), TAIL, object)
    new = (events == 0) | (first_us > start_us - new_days * DAY_US)
    known = np.flatnonzero(~new)
    most = known[np.argsort(-events[known], kind="stable")]
    labels[most[: int(np.ceil(head_share * len(known)))]] = HEAD
    labels[new] = NEW
    return labels


def sizes(grouping: Grouping, user: Array) -> Mapping[str, tuple[int, int]]:
    """Requests and users of each group."""
    found = {}
    for name in grouping.groups:
        chosen = grouping.labels == name
        found[name] = (int(chosen.sum()), len(np.unique(user[chosen])))
    return found
