"""What both variants' slates look like as lists: how many items they show, and how unusual those are.

Shown beside the click rates and never judged: a challenger is meant to choose otherwise. Both variants are compared
over the same number of slates, since coverage grows with their number.
"""

import math
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

Slates = Sequence[Sequence[Hashable]]


@dataclass(frozen=True)
class Lists:
    """Slates of one variant."""

    slates: int
    coverage: int  # distinct items in them
    # Mean self-information of a shown item in bits, -log2 of its share of the stable's slates: S. Vargas, P. Castells
    # (2011), Rank and relevance in novelty and diversity metrics for recommender systems, RecSys. An item that the
    # stable never showed counts as shown once.
    novelty: float


def compare_lists(canary: Slates, stable: Slates) -> tuple[Lists, Lists] | None:
    """The canary's lists and the stable's, of slates that come newest first; None while one of them has none."""
    slates = min(len(canary), len(stable))
    shown = Counter(item for slate in stable for item in slate)
    if not slates or not shown:
        return None
    return _lists(canary[:slates], shown, len(stable)), _lists(stable[:slates], shown, len(stable))


def _lists(slates: Slates, shown: Counter[Hashable], total: int) -> Lists:
    items = [item for slate in slates for item in slate]
    bits = [-math.log2(max(shown[item], 1) / total) for item in items]
    return Lists(len(slates), len(set(items)), sum(bits) / len(bits) if bits else 0.0)
