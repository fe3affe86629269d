"""Exploration: new items at some places, drawn last, with the probability of each item at each place.

Theory. The slate without exploration is fixed first. Every place of exploration then gets a pool of its own: its
fixed item and new items that are nowhere else, chosen so that the rules hold whatever the other places draw. So the
places draw independently, no item can come twice, and the distribution of a place is the one it is drawn from: the
fixed item with 1 - rate, a new item with rate times its bandit's probability.
"""

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from serving.rerank.bandits import probabilities
from serving.rerank.caps import Caps, Key
from serving.rerank.exposure import minimum
from serving.rerank.ranked import Choice, Ranked
from serving.rerank.relevance import is_new
from serving.rerank.rewards import Rewards
from serving.rerank.rules import Exploration
from serving.rerank.slate import Filled, Group

Array = np.ndarray[Any, Any]


def new_items(ranked: Ranked, relevance: Array, allowed: Array, rules: Exploration, rewards: Rewards) -> Array:
    """Rows of the allowed candidates that are new, most relevant first."""
    rows = np.flatnonzero(is_new(ranked.age_days, rules.newer_than_days) & allowed)
    impressions, _ = rewards.of(ranked.item_ids[rows])
    rows = rows[impressions < rules.until_impressions]
    return np.asarray(rows[np.argsort(-relevance[rows], kind="stable")])


def pools(
    filled: Filled, fresh: Sequence[int], caps: Caps, groups: Sequence[Group], rules: Exploration
) -> dict[int, list[int]]:
    """Place (from 1) -> rows of new items that may stand there, dealt out in turn."""
    places = [p for p in sorted(rules.places) if p <= len(filled.rows) and p not in filled.pinned]
    found: dict[int, list[int]] = {place: [] for place in places}
    room = _Room(filled.rows, caps, groups)
    shown = set(filled.rows)
    in_turn = list(places)
    for row in fresh:
        if row in shown:
            continue
        place = next((p for p in in_turn if room.fits(row, p)), None)
        if place is None:
            continue
        room.put(row, place)
        found[place].append(row)
        in_turn.remove(place)
        if len(found[place]) < rules.pool:
            in_turn.append(place)
        elif not in_turn:
            break
    return {place: rows for place, rows in found.items() if rows}


def choices(
    filled: Filled, pools_of: dict[int, list[int]], ranked: Ranked, rules: Exploration, rewards: Rewards
) -> tuple[Choice, ...]:
    """The distribution of every place that has a pool."""
    found = []
    for place, fresh in pools_of.items():
        of_new = probabilities(rules, *rewards.of(ranked.item_ids[fresh]))
        rows = np.array([filled.rows[place - 1], *fresh])
        found.append(Choice(place, rows, np.concatenate([[1 - rules.rate], rules.rate * of_new])))
    return tuple(found)


class _Room:
    """What the rules leave in the worst case, over every item that each place may come to hold."""

    def __init__(self, rows: Sequence[int], caps: Caps, groups: Sequence[Group]) -> None:
        self._caps = caps
        self._members = [group.members.tolist() for group in groups]
        self._holders: dict[Key, set[int]] = {}
        for place, row in enumerate(rows, start=1):
            self._hold(row, place)
        # sure: whether a place, counted from 0, holds an item of the group whatever is drawn; spare: how many of these
        # each prefix can lose.
        self._sure = [[members[row] for row in rows] for members in self._members]
        self._spare = [_spare(sure, group.rule.at_least) for sure, group in zip(self._sure, groups, strict=True)]

    def fits(self, row: int, place: int) -> bool:
        """Whether caps and exposure hold in every case when `row` may stand at `place`."""
        for key in self._caps.keys(row):
            holders = self._holders.get(key, ())
            if place not in holders and len(holders) >= self._caps.at_most(key):
                return False
        return all(min(self._spare[group][place - 1 :]) > 0 for group in self._losing(row, place))

    def put(self, row: int, place: int) -> None:
        for group in self._losing(row, place):
            self._sure[group][place - 1] = False
            self._spare[group][place - 1 :] = [spare - 1 for spare in self._spare[group][place - 1 :]]
        self._hold(row, place)

    def _losing(self, row: int, place: int) -> list[int]:
        """Groups that would no longer be sure of `place`."""
        return [g for g, members in enumerate(self._members) if self._sure[g][place - 1] and not members[row]]

    def _hold(self, row: int, place: int) -> None:
        for key in self._caps.keys(row):
            self._holders.setdefault(key, set()).add(place)


def _spare(sure: Sequence[bool], share: float) -> list[int]:
    """Members above the minimum in each prefix; none where the slate falls short of it."""
    counts = accumulate(int(member) for member in sure)
    return [max(count - least, 0) for count, least in zip(counts, minimum(share, len(sure))[1:], strict=True)]
