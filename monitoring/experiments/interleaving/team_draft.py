"""Team draft interleaving: in each round both rankers pick their best item that is left, a coin says who goes first.

Radlinski, Kurup and Joachims (2008), How does clickthrough data reflect retrieval quality?, CIKM.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from feature_repo.core.errors import NotMeasurable

Items = Sequence[Hashable]


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
    same = _same_start(one, two, k)
    items, credit = list(one[:same]), [0.0] * same
    taken = set(items)
    left = {-1.0: [item for item in one if item not in taken], 1.0: [item for item in two if item not in taken]}
    while len(items) < k and any(left.values()):
        answered = all(left.values())  # a ranker that goes on alone is not preferred for it
        for team in (-1.0, 1.0) if rng.random() < 0.5 else (1.0, -1.0):
            pick = next((item for item in left[team] if item not in taken), None)
            if pick is None or len(items) == k:
                continue
            items.append(pick)
            credit.append(team if answered else 0.0)
            taken.add(pick)
        left = {team: [item for item in of if item not in taken] for team, of in left.items()}
    return Interleaved(tuple(items), tuple(credit))


def check_rankings(*rankings: Items) -> None:
    for ranking in rankings:
        if len(set(ranking)) < len(ranking):
            raise NotMeasurable(f"a ranking names each item once; got {len(ranking) - len(set(ranking))} again")


def _same_start(one: Items, two: Items, k: int) -> int:
    at = 0
    while at < min(len(one), len(two), k) and one[at] == two[at]:
        at += 1
    return at
