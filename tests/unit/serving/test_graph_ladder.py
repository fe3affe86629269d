"""Whatever breaks costs its own part of the answer, and is said."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from serving_parts import ITEMS, NOW, FakeReader, FakeRecommender, ids_of, tiny_runtime

from serving.graph.deadline import Deadline
from serving.graph.later import Later
from serving.graph.meter import Measured
from serving.graph.runner import Runner
from serving.http import RecommendQuery
from serving.rerank.rules import Cap, Exclusion, Pin, Rules
from serving.runtime import UNREADY_AFTER, Runtime

Make = Callable[..., Runtime]


@pytest.fixture
def make(runtime: Runtime, tmp_path: Path) -> Make:
    """A runtime like the usual one, over parts of the test's own."""

    def made(*, settings: dict[str, Any] | None = None, **parts: Any) -> Runtime:
        changed = runtime.settings.model_copy(update=settings or {})
        return tiny_runtime(tmp_path, changed, runtime.metrics, runtime.log, **parts)

    return made


def ask(runtime: Runtime, user_id: str = "known", **fields: Any) -> dict[str, Any]:
    plain = RecommendQuery(user_id, k=5, moment=None, context={}, exclude=frozenset(), session=())
    return runtime.recommend(replace(plain, **fields), now=NOW)


def rung(runtime: Runtime, name: str) -> float:
    return float(runtime.metrics.rungs.labels(name)._value.get())


@pytest.mark.parametrize(
    ("breaks", "degraded", "first", "stood_on"),
    [
        ({"retrieve"}, ["retrieval"], "i9", "popular"),
        ({"features"}, ["ranker"], "i0", "retrieval_order"),
        ({"rank_scores"}, ["ranker"], "i0", "retrieval_order"),
    ],
)
def test_a_stage_that_fails_leaves_what_the_stage_before_it_gave(
    make: Make, breaks: set[str], degraded: list[str], first: str, stood_on: str
) -> None:
    runtime = make(recommender=FakeRecommender(breaks=breaks))

    answer = ask(runtime)

    assert (list(answer["degraded"]), len(answer["items"])) == (degraded, 5)
    assert answer["items"][0]["item_id"] == first
    assert rung(runtime, stood_on) == 1


def test_a_ranker_that_gives_no_number_is_one_that_fails(make: Make) -> None:
    recommender = FakeRecommender()
    recommender.rank_scores = lambda matrix: matrix[:, 0] * float("nan")  # type: ignore[method-assign]

    answer = ask(make(recommender=recommender))

    assert (list(answer["degraded"]), ids_of(answer["items"])) == (["ranker"], list(ITEMS[:5]))


def test_rules_that_do_not_fit_the_items_cost_the_re_ranking_and_not_the_order(make: Make) -> None:
    runtime = make(rules=Rules(caps=(Cap(name="one", attribute="nothing", at_most=1),)))

    answer = ask(runtime)

    assert (list(answer["degraded"]), ids_of(answer["items"])) == (["rerank"], list(ITEMS[:5]))
    assert rung(runtime, "ranked_order") == 1


def test_where_nobody_knows_what_may_be_shown_nothing_is(make: Make) -> None:
    """A filter that fails must not fail open: what it hides may be forbidden to show."""
    unknown = Exclusion(name="gone", attribute="nothing", values=("x",))
    runtime = make(rules=Rules(exclusions=(unknown,)))

    answer = ask(runtime)

    assert (list(answer["degraded"]), answer["items"]) == (["blocked"], [])
    assert rung(runtime, "empty") == 1


def test_a_row_that_cannot_be_read_costs_the_personal_part_and_still_hides_what_was_seen(make: Make) -> None:
    class Picky(FakeRecommender):
        def popular(self, request: Any, user: Any, *, allowed: Any = None) -> Any:
            if "history" in user:
                raise ValueError("a history that is none")
            return super().popular(request, user, allowed=allowed)

    reader = FakeReader(rows={"known": {"history": 3, "seen_items": ["i9", "i8"]}})
    runtime = make(recommender=Picky(breaks={"retrieve"}, repeats=False), reader=reader)

    answer = ask(runtime)

    assert (list(answer["degraded"]), ids_of(answer["items"])) == (["retrieval"], ["i7", "i6", "i5", "i4", "i3"])


def test_a_store_that_fails_leaves_the_row_that_was_read_last(make: Make) -> None:
    reader = FakeReader(rows={"known": {"seen_items": ["i0"]}})
    runtime = make(recommender=FakeRecommender(repeats=False), reader=reader)
    before = ask(runtime)
    reader.down = True

    after = ask(runtime)

    assert ids_of(after["items"]) == ids_of(before["items"]) == ["i1", "i2", "i3", "i4", "i5"]
    assert (list(before["degraded"]), list(after["degraded"])) == ([], ["features"])
    assert rung(runtime, "last_known_row") == 1


def test_where_repeats_are_forbidden_and_nothing_is_known_of_a_user_the_slate_is_empty(make: Make) -> None:
    runtime = make(recommender=FakeRecommender(repeats=False), reader=FakeReader(down=True))

    answer = ask(runtime, "stranger")

    assert (list(answer["degraded"]), answer["items"]) == (["features", "seen"], [])


def test_a_row_that_is_too_old_says_nothing_of_what_was_seen(make: Make) -> None:
    reader = FakeReader(rows={"known": {"seen_items": ["i0"]}})
    runtime = make(recommender=FakeRecommender(repeats=False), reader=reader, settings={"last_known_seconds": 1e-9})
    ask(runtime)
    reader.down = True

    assert list(ask(runtime)["degraded"]) == ["features", "seen"]


def test_an_answer_whose_time_is_up_is_made_of_what_takes_none(make: Make) -> None:
    runtime = make(reader=FakeReader(slow=0.1), settings={"deadline_ms": 1})

    answer = ask(runtime)

    assert (list(answer["degraded"]), len(answer["items"])) == (["features", "retrieval"], 5)
    assert rung(runtime, "retrieve_late") == 1


def test_a_stage_that_takes_longer_than_is_left_is_not_begun_and_gets_another_chance_later(runtime: Runtime) -> None:
    runner, calls = Runner(Measured(runtime.metrics, Later())), []

    def slow() -> bool:
        time.sleep(0.02)
        calls.append(1)
        return True

    short = [runner.run("rank", slow)]
    short += [runner.run("rank", slow, before=Deadline.after(0.01)) for _ in range(40)]

    assert short[:2] == [True, None]
    assert len(calls) > 1  # one slow call, like the first, does not keep the stage out for good


def test_a_pinned_item_that_no_retriever_brings_is_shown_in_its_place(make: Make) -> None:
    runtime = make(recommender=FakeRecommender(most=3), rules=Rules(pins=(Pin(name="hit", item="i7", place=2),)))

    items = ask(runtime, k=3)["items"]

    assert ids_of(items) == ["i0", "i7", "i1"]
    assert items[1]["source"] == "pinned"


def test_blocked_items_are_in_no_slate_and_in_no_list_of_like_items(runtime: Runtime) -> None:
    runtime.blocked.ids = frozenset({"i0", "i2"})  # type: ignore[misc]

    assert ids_of(ask(runtime)["items"]) == ["i1", "i3", "i4", "i5", "i6"]


def test_a_process_that_can_serve_nothing_is_unready_until_it_can(runtime: Runtime) -> None:
    runtime.blocked.loaded = False  # type: ignore[misc]
    assert runtime.not_ready() == "the list of blocked items was never loaded"

    runtime.blocked.loaded = True  # type: ignore[misc]
    for _ in range(UNREADY_AFTER):
        runtime.failed()
    assert runtime.not_ready() == "the last 20 answers had nothing to show"

    ask(runtime)
    assert runtime.not_ready() == ""
