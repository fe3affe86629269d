import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from feature_repo.core.workspace import Workspace
from serving.app import create_app
from serving.page import FILES, default_moment
from serving.page_data import (
    OFFERED_ATTRIBUTES,
    OFFERED_VALUES,
    Person,
    event_types_of,
    history_of,
    offered_of,
    open_page_data,
    people_of,
    search,
)
from serving.runtime import Runtime
from serving.settings import CODE_ROOT

ANSWERS = ("/page/about", "/page/people", "/page/history", "/page/preferences", "/page/items")
PAGES = ("/", *(f"/{name}" for name in FILES), *ANSWERS)
UNTIL = datetime(1998, 4, 23, tzinfo=UTC)


@pytest.fixture
def page_client(runtime: Runtime, serve: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("BUILD", str(tmp_path))
    on = replace(runtime, settings=runtime.settings.model_copy(update={"page": True}))
    with serve(create_app(lambda: on)) as client:
        yield client


def events(*rows: tuple[str, int]) -> pa.Table:
    users, days = zip(*rows, strict=True)
    return pa.table({"user_id": users, "timestamp": [datetime(1998, 4, day, tzinfo=UTC) for day in days]})


def test_a_page_that_is_off_is_not_there_and_off_is_the_default(client: Any, runtime: Runtime) -> None:
    assert runtime.settings.page is False
    assert {client.get(path).status_code for path in PAGES} == {404}
    assert client.post("/recommend", json={"user_id": "known"}).status_code == 200


def test_every_file_of_the_page_is_served_under_a_policy_that_allows_nothing_inline(page_client: Any) -> None:
    replies = [page_client.get(path) for path in PAGES]

    assert {reply.status_code for reply in replies} == {200}
    policies = {reply.headers["Content-Security-Policy"] for reply in replies}
    assert len(policies) == 1
    assert "default-src 'none'" in policies.copy().pop()
    assert "unsafe" not in policies.pop()
    assert {reply.headers["X-Content-Type-Options"] for reply in replies} == {"nosniff"}


def test_the_files_of_the_page_name_no_address_and_are_all_served() -> None:
    on_disk = {path.name for path in (CODE_ROOT / "serving").glob("page*") if path.suffix != ".py"}

    assert on_disk == {*FILES, "page.html"}
    for name in on_disk - {"page.svg"}:
        text = (CODE_ROOT / "serving" / name).read_text(encoding="utf-8")
        assert not re.search(r"https?://|style=|\son[a-z]+=|innerHTML", text), name


def test_no_path_but_a_listed_one_reads_a_file(page_client: Any) -> None:
    for path in ("/page.py", "/settings.py", "/page.html", "/page.css/../settings.py", "/%2e%2e/pyproject.toml"):
        assert page_client.get(path).status_code == 404


def test_the_page_is_told_what_is_served_and_at_which_moment_it_starts(page_client: Any) -> None:
    about = page_client.get("/page/about").json()

    assert (about["model_version"], about["variant"], about["max_k"]) == ("7", "stable", 100)
    assert about["moment"] == "1998-04-23T00:00:00+00:00"
    assert about["event_types"] == ["hide", "dislike"]


def test_the_page_reads_titles_of_items(page_client: Any) -> None:
    shown = page_client.get("/page/items", params={"id": ["i1", "nothing"]}).json()

    assert shown == {"i1": {"title": "Title of i1 </script>"}, "nothing": {}}


def test_a_store_that_is_down_gives_no_history_and_says_so(page_client: Any, runtime: Runtime) -> None:
    empty: dict[str, Any] = {"items": [], "hidden": []}

    assert page_client.get("/page/history?user_id=nobody").json() == {**empty, "read": True, "is_new": True}

    runtime.reader.down = True  # type: ignore[attr-defined]

    assert page_client.get("/page/history?user_id=known").json() == {**empty, "read": False, "is_new": False}


def test_a_history_holds_what_was_received_a_moment_ago(page_client: Any) -> None:
    def event(item_id: str, event_type: str) -> dict[str, str]:
        return {"user_id": "u", "item_id": item_id, "event_type": event_type, "timestamp": "2024-05-01T12:00:00Z"}

    page_client.post("/events", json=[event("i1", "view"), event("i2", "hide")])

    history = page_client.get("/page/history?user_id=u").json()
    assert history["items"] == [{"item_id": "i1", "at": "2024-05-01T12:00:00.000000Z"}]
    assert history["hidden"] == ["i2"]


def test_somebody_is_new_until_ten_interactions(page_client: Any) -> None:
    def interact(number: int) -> None:
        event = {"user_id": "u", "item_id": "i1", "event_type": "view", "timestamp": "2024-05-01T12:00:00Z"}
        page_client.post("/events", json=[{**event, "event_id": str(number)}])

    def is_new() -> bool:
        return bool(page_client.get("/page/history?user_id=u").json()["is_new"])

    for number in range(9):
        interact(number)
    after_nine = is_new()
    interact(9)

    assert (after_nine, is_new()) == (True, False)


def test_what_can_be_declared_is_offered_beside_what_was(page_client: Any) -> None:
    page_client.post("/preferences", json={"user_id": "u", "items": ["i9"], "attributes": {"genre": ["drama"]}})

    found = page_client.get("/page/preferences?user_id=u").json()

    assert found["offered"] == [{"attribute": "genre", "values": ["comedy", "drama"]}]
    assert found["declared"] == {"items": ["i9"], "attributes": {"genre": ["drama"]}}


def test_offered_are_common_values_of_attributes_in_words_and_no_titles() -> None:
    texts = [["a", "b"], ["a", None], ["b", None], [None, None]]
    columns = {
        "tags": np.array(texts, object),
        "title": np.array(["one", "two", "two", "four"], object),
        "kind": np.array(["x", "x", "x", None], object),
        "price": np.ones(4),
        "brand": np.array([f"brand {n % 50}" for n in range(4)], object),
    }

    assert offered_of(columns) == [{"attribute": "tags", "values": ["a", "b"]}]


def test_of_an_attribute_with_many_values_the_commonest_are_offered_and_few_attributes_at_all() -> None:
    values = [f"v{n:02}" for n in range(OFFERED_VALUES)] * 3 + [f"rare {n}" for n in range(4)] * 2
    columns = {f"kind {n}": np.array(values, object) for n in range(OFFERED_ATTRIBUTES + 2)}

    offered = offered_of(columns)

    assert [attribute["attribute"] for attribute in offered] == [f"kind {n}" for n in range(OFFERED_ATTRIBUTES)]
    assert offered[0]["values"] == [f"v{n:02}" for n in range(OFFERED_VALUES)]


def test_the_pages_moment_is_the_end_of_an_old_log_and_now_for_a_live_one() -> None:
    now = datetime(2024, 5, 1, tzinfo=UTC)

    assert default_moment(UNTIL, now=now) == UNTIL
    assert default_moment(datetime(2024, 4, 30, tzinfo=UTC), now=now) is None


def test_people_are_the_latest_active_first_with_what_is_declared_of_them() -> None:
    users = pa.table({"user_id": ["b", "c"], "job": ["baker", None], "age": [24.0, 30.5], "likes": [["x", "y"], []]})

    people = people_of(events(("a", 1), ("b", 3), ("b", 2), ("c", 2)), users)

    assert people == (
        Person("b", 2, "baker, age 24, x, y"),
        Person("c", 1, "age 30.5"),
        Person("a", 1, ""),
    )
    assert people_of(events(("a", 1), ("b", 3)), None, limit=1) == (Person("b", 1, ""),)


def test_a_search_puts_the_very_id_first_then_ids_that_begin_with_it_then_attributes() -> None:
    people = [Person("31", 1, ""), Person("4", 1, "age 3"), Person("3", 1, "Baker")]

    assert [p.user_id for p in search(people, "3")] == ["3", "31", "4"]
    assert [p.user_id for p in search(people, " BAKER ")] == ["3"]
    assert [p.user_id for p in search(people, "", limit=2)] == ["31", "4"]
    assert search(people, "nobody") == []


def test_event_types_rise_in_weight_and_end_with_those_that_suppress() -> None:
    assert event_types_of({"purchase": 3, "view": 1, "dislike": -1}) == ("view", "purchase", "hide", "dislike")


def test_a_history_is_newest_first_and_bounded() -> None:
    user = {"history_items": ["i1", "i2", "i3"], "history_times": [0, 1_000_000, 2_500_000]}

    assert history_of(user, limit=2) == [
        {"item_id": "i3", "at": "1970-01-01T00:00:02.500000Z"},
        {"item_id": "i2", "at": "1970-01-01T00:00:01.000000Z"},
    ]
    assert history_of({}, limit=2) == []


def test_where_no_event_log_is_there_are_no_people_to_pick(tmp_path: Path) -> None:
    workspace = Workspace(root=tmp_path, store=tmp_path / "store")

    assert open_page_data(workspace, until=UNTIL).people == ()


def test_people_whose_first_event_lies_after_the_data_s_end_are_not_known_yet(tmp_path: Path) -> None:
    workspace = Workspace(root=tmp_path, store=tmp_path / "store")
    workspace.events.parent.mkdir(parents=True)
    log = events(("old", 1), ("new", 30))
    kinds = pa.schema([("user_id", pa.string()), ("timestamp", pa.timestamp("us", tz="UTC"))])
    pq.write_table(log.cast(kinds), workspace.events)

    assert open_page_data(workspace, until=UNTIL).people == (Person("old", 1, ""),)
