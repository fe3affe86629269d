"""Team draft interleaving: in each round both rankers pick their best item that is left, a coin says who goes first.

Radlinski, Kurup and Joachims (2008), How does clickthrough data reflect retrieval quality?, CIKM.
"""

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from feature_repo.core.errors import NotMeasurable

Items = Sequence[Hashable]
Pick = tuple[Hashable, float]

FIRST, SECOND = -1.0, 1.0
ORDERS = ((FIRST, SECOND), (SECOND, FIRST))


@dataclass(frozen=True)
class Interleaved:
    """`credit` of a click at each place: above zero for the second ranker, below for the first."""

    items: tuple[Hashable, ...]
    credit: tuple[float, ...]


def team_draft(one: Items, two: Items, *, k: int, rng: np.random.Generator) -> Interleaved:
    """A slate of `k` items; fewer where both together have fewer.

    Where both begin alike nobody picked first, so clicks there tell nothing and have no credit; a click of somebody
    who clicks at random is worth 0 on average at every place.

    Raises:
        NotMeasurable: a ranking names an item twice.
    """
    check_rankings(one, two)
    picks: list[Pick] = [(item, 0.0) for item in one[: _same_start(one, two, k)]]
    while len(picks) < k:
        order = ORDERS[0] if rng.random() < 0.5 else ORDERS[1]
        found = _round(one, two, frozenset(item for item, _ in picks), order)
        if not found:
            break
        picks += found
    picks = picks[:k]
    return Interleaved(tuple(item for item, _ in picks), tuple(credit for _, credit in picks))


def chances(one: Items, two: Items, items: Items) -> tuple[float, ...]:
    """The probability that `team_draft` puts each of `items`, a slate that it drew, at the place that it stands at.

    All coins that tell slates apart are followed, at most 2 to half of the places.
    """
    same = _same_start(one, two, len(items))
    found = [1.0] * same + [0.0] * (len(items) - same)
    drafts = {frozenset(items[:same]): 1.0}  # the chance of each set of items that was picked so far
    while drafts:
        after: defaultdict[frozenset[Hashable], float] = defaultdict(float)
        for taken, chance in drafts.items():
            for order in ORDERS:
                picks = [item for item, _ in _round(one, two, taken, order)]
                for place, item in enumerate(picks, start=len(taken)):
                    if place < len(items) and items[place] == item:
                        found[place] += chance / 2
                if len(taken) + len(picks) < len(items):
                    after[taken.union(picks)] += chance / 2
        drafts = after
    return tuple(found)


def check_rankings(*rankings: Items) -> None:
    for ranking in rankings:
        if len(set(ranking)) < len(ranking):
            raise NotMeasurable(f"a ranking names each item once; got {len(ranking) - len(set(ranking))} again")


def _round(one: Items, two: Items, taken: frozenset[Hashable], order: tuple[float, float]) -> list[Pick]:
    """What the teams pick in this order; nothing where nothing is left."""
    left = {FIRST: [item for item in one if item not in taken], SECOND: [item for item in two if item not in taken]}
    answered = all(left.values())  # a ranker that goes on alone is not preferred for it
    picks: list[Pick] = []
    for team in order:
        pick = next((item for item in left[team] if item not in [item for item, _ in picks]), None)
        if pick is not None:
            picks.append((pick, team if answered else 0.0))
    return picks


def _same_start(one: Items, two: Items, k: int) -> int:
    at = 0
    while at < min(len(one), len(two), k) and one[at] == two[at]:
        at += 1
    return at
