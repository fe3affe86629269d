"""Slates that are served again: for whom, how long, and when not."""

import asyncio
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from serving_parts import NOW, FakeReader, FakeRecommender, ids_of, tiny_runtime

from serving.events import Event
from serving.graph.flights import Flights
from serving.graph.recent import Recent
from serving.graph.slates import Begun, SlateCache
from serving.graph.visit import Answer
from serving.http import RecommendQuery
from serving.runtime import Runtime
from training.slate import Slate, no_candidates

QUERY = RecommendQuery("known", k=3, moment=None, context={}, exclude=frozenset(), session=())
WORLD = ("items", "rules")


def answer(*degraded: str) -> Answer:
    return Answer(Slate((), no_candidates(1), degraded), {}, NOW, degraded)


def cache_of(outcomes: list[str], *, seconds: float = 10.0, events: int = 3, users: int = 2) -> SlateCache:
    return SlateCache(seconds=seconds, events=events, users=users, on_outcome=outcomes.append)


@pytest.fixture
def cached(runtime: Runtime, tmp_path: Path) -> Runtime:
    settings = runtime.settings.model_copy(update={"cache_seconds": 60.0})
    return tiny_runtime(tmp_path, settings, runtime.metrics, runtime.log)


def asked(runtime: Runtime) -> int:
    """How often the recommender was asked."""
    return len(runtime.recommender.asked)  # type: ignore[attr-defined]


def outcome(runtime: Runtime, name: str) -> float:
    return float(runtime.metrics.cache.labels(name)._value.get())


def seen(user_id: str, event_type: str = "view", number: int = 0) -> Event:
    return Event(f"e{number}", user_id, "i5", NOW, event_type, None, None, None, None, {})


def test_the_same_question_is_answered_from_the_cache_under_an_id_of_its_own(cached: Runtime) -> None:
    first, again = (cached.recommend(QUERY, now=NOW) for _ in range(2))

    assert (asked(cached), outcome(cached, "miss"), outcome(cached, "hit")) == (1, 1, 1)
    assert first["items"] == again["items"]
    assert first["request_id"] != again["request_id"]


def test_the_cache_is_off_unless_it_is_asked_for(runtime: Runtime) -> None:
    for _ in range(2):
        runtime.recommend(QUERY, now=NOW)

    assert (asked(runtime), outcome(runtime, "miss")) == (2, 0)


@pytest.mark.parametrize(
    "change",
    [
        {"user_id": "other"},
        {"k": 2},
        {"context": {"device": "tv"}},
        {"moment": NOW},
        {"exclude": frozenset({"i1"})},
        {"session": ("i1",)},
        {"explain": True},
    ],
)
def test_another_question_or_another_user_has_no_slate_yet(cached: Runtime, change: dict[str, Any]) -> None:
    cached.recommend(QUERY, now=NOW)
    cached.recommend(replace(QUERY, **change), now=NOW)

    assert (asked(cached), outcome(cached, "hit")) == (2, 0)


def test_what_the_user_did_ends_a_slate_and_what_others_did_does_not(cached: Runtime) -> None:
    cached.recommend(QUERY, now=NOW)
    cached.recent.add([seen("other")])  # type: ignore[attr-defined]
    cached.recommend(QUERY, now=NOW)
    assert asked(cached) == 1

    cached.recent.add([seen("known", number=1)])  # type: ignore[attr-defined]
    cached.recommend(QUERY, now=NOW)
    assert asked(cached) == 2


def test_a_blocked_item_leaves_cached_slates_too(cached: Runtime) -> None:
    cached.recommend(QUERY, now=NOW)
    cached.blocked.ids = frozenset({"i0"})  # type: ignore[misc]

    assert ids_of(cached.recommend(QUERY, now=NOW)["items"]) == ["i1", "i2", "i3"]


def test_an_answer_that_something_was_missing_from_is_not_kept(runtime: Runtime, tmp_path: Path) -> None:
    settings = runtime.settings.model_copy(update={"cache_seconds": 60.0})
    broken = FakeRecommender(breaks={"rank_scores"})
    cached = tiny_runtime(tmp_path, settings, runtime.metrics, runtime.log, recommender=broken)
    cached.recommend(QUERY, now=NOW)
    broken.breaks = set()

    assert cached.recommend(QUERY, now=NOW)["degraded"] == ()


def test_a_declaration_ends_a_slate(cached: Runtime) -> None:
    from serving.graph.preferences import Preferences
    from serving.http import PreferencesQuery

    cached.recommend(QUERY, now=NOW)
    cached.declare(PreferencesQuery("known", Preferences(("i9",))))
    cached.recommend(QUERY, now=NOW)

    assert asked(cached) == 2


def test_a_slate_is_good_for_its_seconds_or_some_events_whichever_ends_first() -> None:
    outcomes: list[str] = []
    cache = cache_of(outcomes)
    cache.put("u", ("k",), answer(), Begun(Recent(arrived=1), WORLD), now=0.0)

    later = [
        cache.get("u", ("k",), recent, world, now=now) is not None
        for recent, world, now in (
            (Recent(arrived=3), WORLD, 10.0),
            (Recent(arrived=4), WORLD, 1.0),
            (Recent(arrived=2, hides=1), WORLD, 1.0),
            (Recent(arrived=1), WORLD, 10.1),
            (Recent(arrived=1), ("items", "other rules"), 1.0),
        )
    ]

    assert later == [True, False, False, False, False]


def test_an_answer_that_was_begun_before_a_declaration_is_not_kept_after_it() -> None:
    cache = cache_of([])
    begun = Begun(Recent(), WORLD, cache.forgets)
    cache.forget("u")

    cache.put("u", ("k",), answer(), begun, now=0.0)

    assert cache.get("u", ("k",), Recent(), WORLD, now=0.0) is None


def test_the_user_who_was_not_asked_about_for_longest_is_evicted_first() -> None:
    outcomes: list[str] = []
    cache = cache_of(outcomes)
    for user in ("a", "b"):
        cache.put(user, ("k",), answer(), Begun(Recent(), WORLD), now=0.0)
    cache.get("a", ("k",), Recent(), WORLD, now=0.0)

    cache.put("c", ("k",), answer(), Begun(Recent(), WORLD), now=0.0)

    assert outcomes == ["hit", "evicted"]
    assert cache.get("b", ("k",), Recent(), WORLD, now=0.0) is None


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xyz")), max_size=30))
def test_nobody_ever_gets_what_was_made_for_somebody_else(puts: list[tuple[str, str]]) -> None:
    cache = cache_of([], users=3)
    made = {}
    for user, key in puts:
        made[user, key] = answer()
        cache.put(user, (key,), made[user, key], Begun(Recent(), WORLD), now=0.0)

    for user in "abc":
        for key in "xyz":
            assert cache.get(user, (key,), Recent(), WORLD, now=0.0) is made.get((user, key))


def test_those_who_ask_the_same_at_once_are_answered_by_one_flight(runtime: Runtime, tmp_path: Path) -> None:
    settings = runtime.settings.model_copy(update={"cache_seconds": 60.0})
    reader = FakeReader(slow=0.05)
    cached = tiny_runtime(tmp_path, settings, runtime.metrics, runtime.log, reader=reader)

    async def both() -> list[dict[str, Any]]:
        waiting = [cached.recommend_async(QUERY, now=NOW, started=time.perf_counter()) for _ in range(3)]
        return await asyncio.gather(*waiting)

    bodies = asyncio.run(both())

    assert len({body["request_id"] for body in bodies}) == 3
    assert len({str(body["items"]) for body in bodies}) == 1
    assert reader.reads == asked(cached) == 1


def test_a_client_that_goes_away_takes_nobody_elses_answer_along() -> None:
    async def story() -> tuple[bool, str]:
        flights: Flights[str] = Flights()
        go = asyncio.Event()

        async def make() -> str:
            await go.wait()
            return "made"

        first = asyncio.create_task(flights.once("k", make))
        second = asyncio.create_task(flights.once("k", make))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.sleep(0)
        go.set()
        return first.cancelled(), await second

    assert asyncio.run(story()) == (True, "made")
