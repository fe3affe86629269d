"""The slate before anything is drawn: greedy, place by place, under pins, caps and exposure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from serving.rerank.caps import Caps
from serving.rerank.diversity import Gain
from serving.rerank.exposure import minimum, reserved
from serving.rerank.ranked import Note
from serving.rerank.rules import Exposure, Pin

Array = np.ndarray[Any, Any]

PINNED = "pinned"


@dataclass(frozen=True)
class Group:
    """An exposure rule and the candidates [c] it is about."""

    rule: Exposure
    members: Array


@dataclass
class Filled:
    """Rows by place (from 1), without gaps; which of the places are pinned; what the rules did."""

    rows: list[int] = field(default_factory=list)
    pinned: set[int] = field(default_factory=set)
    notes: list[Note] = field(default_factory=list)


def place_pins(
    pins: Sequence[Pin], rows: Mapping[str, int], gain: Gain, caps: Caps, *, k: int
) -> tuple[dict[int, int], list[Note]]:
    """Rows of pinned items by place (from 1), counted in `gain` and `caps`, and a note for each pin.

    A pin is not held for an item that is no candidate, is excluded or exceeds a cap, nor at a place that has one.
    """
    placed: dict[int, int] = {}
    notes = []
    for pin in pins:
        row = rows.get(pin.item)
        if row is None or pin.place > k or pin.place in placed or gain.gain[row] == -np.inf:
            notes.append(Note(pin.name, "could not pin", pin.item, pin.place))
            continue
        gain.drop(caps.take(row))
        gain.chose(row)
        placed[pin.place] = row
        notes.append(Note(pin.name, PINNED, pin.item, pin.place))
    return placed, notes


def fill(gain: Gain, caps: Caps, groups: Sequence[Group], pins: Mapping[int, int], *, k: int) -> Filled:
    """At most k rows: at each place the largest gain that caps allow, of the group that exposure reserves it for.

    Shorter than k only if no further candidate can be taken. `gain` and `caps` know of the pins.
    """
    filled = Filled()
    places = reserved([g.rule.at_least for g in groups], [g.members for g in groups], pins, k=k)
    taken = [0] * len(groups)
    for place in range(1, k + 1):
        if place in pins:
            filled.rows.append(pins[place])
            filled.pinned.add(len(filled.rows))
            continue
        row = _best(gain.gain, groups, taken, places.get(place))
        if row < 0:
            continue  # none is left, but a pin may follow
        filled.rows.append(row)
        gain.drop(caps.take(row))
        for number, group in enumerate(groups):
            taken[number] += bool(group.members[row])
        if place < k:
            gain.chose(row)
    filled.notes += _shortfalls(filled.rows, groups)
    return filled


def _best(gain: Array, groups: Sequence[Group], taken: Sequence[int], owed: tuple[int, int] | None) -> int:
    """The row of the largest gain, or -1; of the group that the place is reserved for, if it has one left."""
    best = int(gain.argmax())
    if gain[best] == -np.inf:
        return -1
    if owed is None or taken[owed[0]] >= owed[1] or groups[owed[0]].members[best]:
        return best
    within = np.where(groups[owed[0]].members, gain, -np.inf)
    row = int(within.argmax())
    return best if within[row] == -np.inf else row


def _shortfalls(rows: Sequence[int], groups: Sequence[Group]) -> list[Note]:
    """For each group that candidates, pins or caps left too few of, the first place that is short of it."""
    notes = []
    for group in groups:
        counts = group.members[list(rows)].cumsum()
        short = np.flatnonzero(counts < minimum(group.rule.at_least, len(rows))[1:])
        if len(short):
            notes.append(Note(group.rule.name, "fell short", place=int(short[0]) + 1))
    return notes
