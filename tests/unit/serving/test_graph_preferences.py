"""What a new user declares counts until the user's own deeds say more."""

import os
from pathlib import Path
from typing import Any

import pytest
from serving_parts import NOW, FakeReader, FakeRecommender, ids_of, tiny_runtime

from feature_repo.stream.payload import StreamEvent
from feature_repo.stream.state import UserState, advance, row_of
from serving.graph.preferences import NONE, PreferenceFiles, Preferences, PreferencesNotStored, strength
from serving.http import RecommendQuery
from serving.rerank.rules import Exploration, Rules
from serving.runtime import Runtime

LIKES = {"user_id": "new", "items": ["i9"], "attributes": {"genre": ["comedy"]}}


def row_after(interactions: int) -> dict[str, Any]:
    """The row of a user with so many events of an item that is none of ours."""
    events = [StreamEvent(f"e{n}", "new", "elsewhere", n + 1, True, 0) for n in range(interactions)]
    return row_of(advance(UserState(), events))


def runtime_of(runtime: Runtime, folder: Path, interactions: int, **parts: Any) -> Runtime:
    reader = FakeReader(rows={"new": row_after(interactions)} if interactions else {})
    return tiny_runtime(folder, runtime.settings, runtime.metrics, runtime.log, reader=reader, **parts)


def items_of(runtime: Runtime) -> list[dict[str, Any]]:
    query = RecommendQuery("new", k=5, moment=None, context={}, exclude=frozenset(), session=())
    items: list[dict[str, Any]] = runtime.recommend(query, now=NOW)["items"]
    return items


def ask(runtime: Runtime) -> list[str]:
    return ids_of(items_of(runtime))


def declare(runtime: Runtime) -> None:
    runtime.preferences.declare("new", Preferences(("i9",), {"genre": ("comedy",)}))


def test_a_new_users_declaration_is_a_session_and_lifts_what_matches_it(runtime: Runtime, tmp_path: Path) -> None:
    fresh = runtime_of(runtime, tmp_path, 0)
    before = ask(fresh)

    declare(fresh)
    after = ask(fresh)

    assert before == ["i0", "i1", "i2", "i3", "i4"]
    assert after == ["i1", "i3", "i0", "i5", "i2"]  # comedies, the odd ones, rise by half of the scores' span
    assert fresh.recommender.asked[-1][0].session == ("i9",)  # type: ignore[attr-defined]


def test_after_ten_interactions_a_declaration_changes_nothing_any_more(runtime: Runtime, tmp_path: Path) -> None:
    settled, plain = runtime_of(runtime, tmp_path, 10), runtime_of(runtime, tmp_path / "plain", 10)
    declare(settled)

    assert ask(settled) == ask(plain)
    assert settled.recommender.asked[-1][0].session == ()  # type: ignore[attr-defined]


def test_before_that_it_says_less_with_every_interaction() -> None:
    assert [strength(n) for n in (0, 5, 9, 10, 100)] == pytest.approx([1.0, 0.5, 0.1, 0.0, 0.0])


def test_popular_items_that_match_are_candidates_even_where_retrieval_brings_none(
    runtime: Runtime, tmp_path: Path
) -> None:
    few = runtime_of(runtime, tmp_path, 0, recommender=FakeRecommender(most=1))
    declare(few)

    assert [(item["item_id"], item["source"]) for item in items_of(few)] == [("i0", "fake"), ("i1", "declared")]


def test_a_new_item_has_a_place_to_be_tried_in_with_its_chance(runtime: Runtime, tmp_path: Path) -> None:
    explore = Exploration(method="epsilon-greedy", rate=1.0, places=(2,), newer_than_days=30)
    fresh = runtime_of(runtime, tmp_path, 0, recommender=FakeRecommender(most=3), rules=Rules(exploration=explore))

    query = RecommendQuery("new", k=3, moment=None, context={}, exclude=frozenset(), session=())
    items = fresh.recommend(query, now=NOW)["items"]

    # i8 and i9 are the new ones, and none of the three that retrieval brings.
    assert items[1]["item_id"] in {"i8", "i9"}
    assert (items[1]["source"], items[1]["propensity"]) == ("fresh", 0.5)
    assert [items[0]["propensity"], items[2]["propensity"]] == [1.0, 1.0]


def test_a_declaration_over_http_is_durable_idempotent_and_replaced_by_the_next(client: Any, runtime: Runtime) -> None:
    replies = [client.post("/preferences", json=LIKES) for _ in range(2)]
    first = runtime.preferences.of("new")
    client.post("/preferences", json={"user_id": "new", "items": ["i1"]})

    assert [(reply.status_code, reply.json()) for reply in replies] == [(200, {"items": 1, "attributes": 1})] * 2
    assert first == Preferences(("i9",), {"genre": ("comedy",)})
    assert runtime.preferences.of("new") == Preferences(("i1",))
    assert runtime.preferences.of("other") == NONE


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"items": []}, "user_id must be a text of 1 to 512 characters"),
        ({"user_id": "u", "items": "i1"}, "items must be a list of 0 to 100 ids; got"),
        ({"user_id": "u", "items": ["i"] * 101}, "items must be a list of 0 to 100 ids; got a list of 101"),
        ({"user_id": "u", "attributes": ["genre"]}, "attributes must be a JSON object; got"),
        ({"user_id": "u", "attributes": {"genre": [1]}}, "attributes.genre[0] must be a text of at most 512"),
        ({"user_id": "u", "likes": []}, "the body may have the fields attributes, items, user_id; got 'likes'"),
    ],
)
def test_a_declaration_that_breaks_a_rule_is_refused_with_a_sentence(client: Any, body: Any, sentence: str) -> None:
    reply = client.post("/preferences", json=body)

    assert reply.status_code == 400
    assert reply.json()["error"].startswith(sentence)


def test_a_declaration_that_cannot_be_stored_is_asked_for_again(client: Any, tmp_path: Path) -> None:
    (tmp_path / "store").mkdir(exist_ok=True)
    (tmp_path / "store" / "preferences").write_text("a file stands where the folder belongs")

    reply = client.post("/preferences", json=LIKES)

    assert (reply.status_code, int(reply.headers["Retry-After"]) > 0) == (503, True)
    assert reply.json()["error"].startswith("the preferences could not be stored")


def test_a_declaration_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    files = PreferenceFiles(tmp_path)
    files.declare("u", Preferences(("i1",)))
    (path,) = tmp_path.rglob("*.json")
    path.write_bytes(b"[1")

    assert files.of("u") == NONE


def test_a_disk_that_refuses_leaves_the_earlier_declaration(tmp_path: Path) -> None:
    files = PreferenceFiles(tmp_path)
    files.declare("u", Preferences(("i1",)))
    (path,) = tmp_path.rglob("*.json")
    blocker = path.with_name(f".{path.name}.{os.getpid()}.partial")
    blocker.mkdir()

    with pytest.raises(PreferencesNotStored):
        files.declare("u", Preferences(("i2",)))

    assert files.of("u") == Preferences(("i1",))
