"""Interleaving: the slates of two versions as one, so that a user chooses between them.

The served version answers as ever. A second one, `SERVE_INTERLEAVE`, answers the same query, and a team draft mixes
both slates; which coins it throws follows from the request's id. Whatever keeps the second one from a whole answer
leaves the first one's slate, flagged. What is not mixed: slates with explored places, whose chances would not be those
that were drawn with, and slates longer than LONGEST, whose chances would take too long to work out.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from serving.graph.visit import Answer
from serving.http import RecommendQuery

if TYPE_CHECKING:
    from serving.graph.answering import Answering

logger = logging.getLogger("serving.interleaving")

PART = "interleaving"  # of `degraded`
LONGEST = 20  # places


@dataclass(frozen=True)
class Mixed:
    """An answer; where two versions made it, the second one and the team of each place: -1, 1, or 0 for neither."""

    answer: Answer
    version: str | None = None
    teams: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Second:
    """The version whose slates are mixed into those of the served one. `closing` ends what runs beside it."""

    version: str
    answering: "Answering"
    closing: tuple[Callable[[], object], ...] = ()

    def mixed(self, first: Answer, query: RecommendQuery, *, request_id: str, now: datetime) -> Mixed:
        if not _can_mix(first):
            return Mixed(first)
        try:
            other = self.answering.answer(query, now=now)
        except Exception:  # an experiment costs nobody an answer
            logger.exception("interleaving_failed version=%s", self.version)
            return alone(first)
        return mixed(first, other, k=query.k, request_id=request_id, version=self.version)

    async def mixed_async(
        self, first: Answer, query: RecommendQuery, *, request_id: str, now: datetime, started: float
    ) -> Mixed:
        """The same within the time that a request which arrived at `started` has left, by `time.perf_counter`."""
        if not _can_mix(first):
            return Mixed(first)
        try:
            other = await self.answering.answer_async(query, now=now, started=started)
        except Exception:
            logger.exception("interleaving_failed version=%s", self.version)
            return alone(first)
        return mixed(first, other, k=query.k, request_id=request_id, version=self.version)


def mixed(first: Answer, second: Answer, *, k: int, request_id: str, version: str) -> Mixed:
    """Both slates as one of `k` places, each with its chance; the first alone, flagged, where `second` is not whole."""
    # Loaded long ago by the start; Bento's supervisor does not need it.
    import numpy as np

    from feature_repo.core.team_draft import chances, team_draft

    if second.degraded or _is_explored(first) or _is_explored(second):
        return alone(first)
    one, two = ([item.item_id for item in answer.slate.items] for answer in (first, second))
    drafted = team_draft(one, two, k=k, rng=np.random.default_rng(int(request_id, 16)))
    places = zip(drafted.items, drafted.credit, chances(one, two, drafted.items), strict=True)
    of = [{item.item_id: item for item in answer.slate.items} for answer in (first, second)]
    items = []
    for rank, (item_id, credit, chance) in enumerate(places, start=1):
        own, other = of if credit <= 0 else reversed(of)
        item = own.get(str(item_id)) or other[str(item_id)]
        items.append(replace(item, rank=rank, propensity=chance))
    slate = replace(first.slate, items=tuple(items))
    return Mixed(replace(first, slate=slate), version, tuple(int(credit) for credit in drafted.credit))


def alone(first: Answer) -> Mixed:
    return Mixed(replace(first, degraded=(*first.degraded, PART)))


def _can_mix(first: Answer) -> bool:
    return not first.degraded and 0 < len(first.slate.items) <= LONGEST


def _is_explored(answer: Answer) -> bool:
    return any(item.propensity < 1 for item in answer.slate.items)
