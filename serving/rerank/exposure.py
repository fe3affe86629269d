"""Exposure of item groups: at least floor(share * t) of the first t items are of the group, for every t.

The minimum at every prefix is that of Celis, Straszak and Vishnoi (ICALP 2018) and of Geyik, Ambler and Kenthapadi (KDD
2019). It holds wherever the candidates, pins and caps leave enough items of the group: each item that a group is owed
has a last place, and `reserved` gives it the latest free place up to there, so that several groups never meet at one.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def minimum(share: float, k: int) -> list[int]:
    """What the group is owed in each prefix: floor(share * t) for t = 0 ... k."""
    # A share like 0.29 is a little less than it says in binary: 0.29 * 100 must not round down to 28.
    return [math.floor(share * place + 1e-9) for place in range(k + 1)]


def reserved(
    shares: Sequence[float], groups: Sequence[Array], pins: Mapping[int, int], *, k: int
) -> dict[int, tuple[int, int]]:
    """Place (from 1) -> (group, n): here at the latest the slate takes the n-th item of the group that is no pin.

    `groups` are bool [c] each, `pins` are rows by place. What cannot be placed is left out.
    """
    free = [place for place in range(1, k + 1) if place not in pins]
    owed = [
        (last, group, n)
        for group, (share, members) in enumerate(zip(shares, groups, strict=True))
        for n, last in enumerate(_last_places(share, members, pins, k), start=1)
    ]
    found = {}
    for last, group, n in sorted(owed, reverse=True):
        place = max((place for place in free if place <= last), default=0)
        if place:
            free.remove(place)
            found[place] = (group, n)
    return found


def _last_places(share: float, members: Array, pins: Mapping[int, int], k: int) -> list[int]:
    """The place up to which the first, second, ... item of the group beside the pinned ones has to come."""
    places: list[int] = []
    supply = int(np.count_nonzero(members)) - sum(bool(members[row]) for row in pins.values())
    pinned = 0
    for place, least in enumerate(minimum(share, k)):
        pinned += place in pins and bool(members[pins[place]])
        while len(places) < min(least - pinned, supply):
            places.append(place)
    return places
