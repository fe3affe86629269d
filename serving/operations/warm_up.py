"""Requests of several kinds that a process answers to itself before anybody else may ask."""

from collections.abc import Sequence

from serving.http import RecommendQuery


def warm_up_queries(user_ids: Sequence[str], item_ids: Sequence[str]) -> tuple[RecommendQuery, ...]:
    """For a new user and each of `user_ids`: a plain one, one with items excluded, one with items of this visit.

    Each way has code and caches that its first request would pay for.
    """
    few = tuple(item_ids[:3])
    return tuple(
        RecommendQuery(user_id, k=10, moment=None, context={}, exclude=frozenset(exclude), session=session)
        for user_id in ("warm-up", *user_ids)
        for exclude, session in (((), ()), (few, ()), ((), few))
    )
