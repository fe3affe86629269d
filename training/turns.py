"""Requests in turn over items that move on in time: the loop that replay and the ranker's training set share."""

from collections.abc import Iterator, Sequence

from feast import FeatureStore

from training.asked import Asked
from training.ranker_features import CandidateRows, Requests, join_candidates, join_requests
from training.recommender import Recommender, Retrieved
from training.replay import ItemTimeline, Moment, user_tables
from training.slate import Request

REQUESTS_AT_ONCE = 128  # bounds the memory of their features

Turn = tuple[int, tuple[Asked, ...]]
Found = tuple[Retrieved, CandidateRows]


def in_turn(
    store: FeatureStore, recommenders: Sequence[Recommender], timeline: ItemTimeline, asked: Sequence[Moment], *, k: int
) -> Iterator[Iterator[Turn]]:
    """Batches of turns: the number of a request, and it made ready for each of `recommenders`, all over one timeline.

    With a turn the items are in the state of its moment, and stay so until the next turn is taken.
    """
    first = 0
    for users in user_tables(store, asked, REQUESTS_AT_ONCE):
        part = asked[first : first + len(users)]
        requests = [Request(moment.user_id, moment.time, k=k, context=moment.context) for moment in part]
        ready = [recommender.ask(requests, users) for recommender in recommenders]
        yield _turns(recommenders, timeline, part, ready, first)
        first += len(part)


def _turns(
    recommenders: Sequence[Recommender],
    timeline: ItemTimeline,
    part: Sequence[Moment],
    ready: Sequence[list[Asked]],
    first: int,
) -> Iterator[Turn]:
    for number, (moment, *ones) in enumerate(zip(part, *ready, strict=True), first):
        changed = timeline.advance(moment.moment_us)
        for recommender in recommenders:
            recommender.items_changed(changed)
        yield number, tuple(ones)


def joined(found: Sequence[Found]) -> tuple[Requests, CandidateRows]:
    """The requests of one batch and all their candidates, whose rows were taken at their moments."""
    return join_requests([retrieved.request for retrieved, _ in found]), join_candidates([rows for _, rows in found])
