"""Stage 3, candidates: from every retriever of the bundle, and for whom these know little, from beside them.

New items that no retriever brings come in for re-ranking to explore, pinned ones so that a pin can show them, and for a
new user popular items that match what was declared. All of them carry the features of any candidate.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from feature_repo.core.steps import Steps
from serving.graph.filter import rows_of
from serving.graph.fresh import FreshItems
from serving.graph.matching import Matching
from serving.graph.visit import Row, User, Visit

if TYPE_CHECKING:
    from serving.rerank.policy import RerankPolicy
    from training.recommender import Retrieved
    from training.slate import Request

Array = np.ndarray[Any, Any]

FRESH, PINNED, DECLARED = "fresh", "pinned", "declared"
FRESH_CANDIDATES, DECLARED_CANDIDATES = 20, 30


class RetrieveStage:
    """Gives the candidates of a visit among the `allowed` items [m]."""

    def __init__(self, fresh: FreshItems, matching: Matching) -> None:
        self._fresh = fresh
        self._matching = matching

    def retrieved(self, visit: Visit, user: User, allowed: Array, policy: "RerankPolicy") -> "Steps[Retrieved]":
        recommender, row = visit.recommender, user.row or {}
        request = with_declared(visit.request, user)
        found = yield from recommender.retrieve_in_steps(request, row, allowed=allowed)
        for source, more, count in self._beside(visit, user, policy):
            wanted = allowed & more
            wanted[found.rows] = False
            if wanted.any():
                extra = yield from recommender.retrieve_in_steps(request, row, allowed=wanted)
                found = joined(found, extra, source, count)
        return found

    def popular(self, visit: Visit, user: User, allowed: Array) -> "Retrieved":
        """The most popular of the allowed items; for when towers, index or retrievers do not work."""
        return visit.recommender.popular(visit.request, user.row or {}, allowed=allowed)

    def popular_for_anyone(self, visit: Visit, user: User, allowed: Array) -> "Retrieved":
        """The same without the user's features, which may be what cannot be read; what was seen still holds."""
        row = user.row or {}
        seen: Row = {"seen_items": row["seen_items"]} if "seen_items" in row else {}
        return visit.recommender.popular(replace(visit.request, session=()), seen, allowed=allowed)

    def _beside(self, visit: Visit, user: User, policy: "RerankPolicy") -> "list[tuple[str, Array, int]]":
        items, found = visit.recommender.items, []
        pinned = rows_of(items, policy.pinned(visit.now))
        if pinned:
            found.append((PINNED, mask_of(len(items), pinned), len(pinned)))
        if policy.exploration.method != "none":
            days = policy.exploration.newer_than_days
            found.append((FRESH, self._fresh.mask(visit.recommender, visit.now, days=days), FRESH_CANDIDATES))
        if user.preferences.attributes:
            matching = self._matching.share(items, user.preferences.attributes) > 0
            found.append((DECLARED, matching, DECLARED_CANDIDATES))
        return found


def with_declared(request: "Request", user: User) -> "Request":
    """The request with declared items at the beginning of its session: they count as met, and met first."""
    declared = user.preferences.items
    return replace(request, session=(*declared, *request.session)) if declared else request


def mask_of(size: int, rows: list[int]) -> Array:
    mask = np.zeros(size, bool)
    mask[rows] = True
    return mask


def joined(first: "Retrieved", more: "Retrieved", source: str, count: int) -> "Retrieved":
    """`first` with the first `count` candidates of `more`, which has none of its rows, behind it."""
    rows = more.rows[:count]
    return replace(
        first,
        rows=np.concatenate([first.rows, rows]),
        item_ids=np.concatenate([first.item_ids, more.item_ids[:count]]),
        sources=np.concatenate([first.sources, np.full(len(rows), source, object)]),
        retrieval={n: np.concatenate([v, more.retrieval[n][:count]]) for n, v in first.retrieval.items()},
    )
