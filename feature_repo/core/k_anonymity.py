"""Groups of people small enough to point at somebody are merged, and withheld where merging is not enough.

k-anonymity (Sweeney, 2002): whatever is published of a group holds for at least k people. Groups with fewer become
one, OTHER; while OTHER itself has fewer, the smallest published group joins it. So no group can be had by taking the
published ones from the total, since what is left over is OTHER, with k people or nobody. Fewer than k people altogether
are nobody's table: everything is withheld.

It holds for one table. Two tables that cut the same people in two ways can still be taken from each other.
"""

from collections.abc import Mapping, Set
from typing import Any

import numpy as np

from feature_repo.core.errors import SettingsRefused

Array = np.ndarray[Any, Any]

K = 10  # people that a published group has at least
OTHER = "other"


def merged(labels: Array, people: Array, *, k: int = K) -> Array:
    """The group under which each row may be published: object [n], None where it may not be.

    `labels` [n] are the rows' groups, `people` [n] says whose row it is. Somebody may be in several groups.
    """
    if len(labels) != len(people):
        raise SettingsRefused(f"every row has a group and a person; got {len(labels)} groups and {len(people)} people")
    members: dict[str, set[Any]] = {}
    for label, person in zip(labels.tolist(), people.tolist(), strict=True):
        members.setdefault(str(label), set()).add(person)
    names = published(members, k=k)
    return np.array([names[str(label)] for label in labels.tolist()], object)


def published(members: Mapping[str, Set[Any]], *, k: int = K) -> dict[str, str | None]:
    """The name under which each group may be published: its own, OTHER, or None. `members` are each group's people."""
    return _joined({name: frozenset(people) for name, people in members.items()}, k)


def published_sizes(sizes: Mapping[str, int], *, k: int = K) -> dict[str, str | None]:
    """The same for groups that share nobody, of which only the sizes are known."""
    return _joined({name: frozenset((name, n) for n in range(size)) for name, size in sizes.items()}, k)


def _joined(members: Mapping[str, frozenset[Any]], k: int) -> dict[str, str | None]:
    if k < 1:
        raise SettingsRefused(f"k is the number of people in a published group, 1 or more; got {k}")
    smallest_first = sorted(members, key=lambda name: (len(members[name]), name))
    other = [name for name in smallest_first if len(members[name]) < k or name == OTHER]
    alone = [name for name in smallest_first if name not in other]
    while other and len(_all(members, other)) < k and alone:
        other.append(alone.pop(0))
    withheld = bool(other) and len(_all(members, other)) < k
    return {name: (name if name in alone else None if withheld else OTHER) for name in members}


def _all(members: Mapping[str, frozenset[Any]], names: list[str]) -> frozenset[Any]:
    return frozenset[Any]().union(*(members[name] for name in names))
