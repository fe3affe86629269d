"""What is left to be done when an answer has gone out."""

import asyncio
import time
from typing import Any

import pytest
from serving_parts import NOW

from serving.app import create_app
from serving.graph.later import Later
from serving.http import RecommendQuery
from serving.runtime import Runtime

QUERY = RecommendQuery("u1", 3, None, {}, frozenset(), ())


def test_work_waits_until_it_is_run_and_is_done_once_in_order() -> None:
    later, done = Later(), list[int]()
    for number in range(3):
        later.add(lambda number=number: done.append(number))  # type: ignore[misc]

    before = list(done)
    later.run()
    later.run()

    assert (before, done) == ([], [0, 1, 2])


def test_work_that_fails_keeps_nothing_else_from_being_done(caplog: pytest.LogCaptureFixture) -> None:
    later, done = Later(), list[int]()
    later.add(lambda: 1 / 0)
    later.add(lambda: done.append(1))

    later.run()

    assert done == [1]
    assert "ZeroDivisionError" in caplog.text


def test_nobody_running_it_leaves_no_more_than_so_much_waiting() -> None:
    later, done = Later(most=10), list[int]()

    for number in range(25):
        later.add(lambda number=number: done.append(number))  # type: ignore[misc]

    assert done == list(range(22))


def test_an_answer_goes_out_before_it_is_written_down(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    monkeypatch.setattr(runtime.log, "offer", lambda row: seen.append(f"logged {row.user_id}"))
    app = create_app(lambda: runtime)
    app.state.runtime = runtime

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b'{"user_id": "u1"}', "more_body": False}

    async def send(message: Any) -> None:
        seen.append(message["type"])

    scope = {"type": "http", "method": "POST", "path": "/recommend", "headers": [], "query_string": b""}
    asyncio.run(app(scope, receive, send))

    assert seen == ["http.response.start", "http.response.body", "logged u1"]


def test_a_row_that_was_read_a_moment_ago_is_known_when_the_store_fails(runtime: Runtime) -> None:
    """Rows are remembered later, too: the store may fail before that."""
    reader: Any = runtime.reader

    async def both() -> dict[str, Any]:
        await runtime.recommend_async(QUERY, now=NOW, started=time.perf_counter())
        reader.down = True
        return await runtime.recommend_async(QUERY, now=NOW, started=time.perf_counter())

    answer = asyncio.run(both())

    assert list(answer["degraded"]) == ["features"]
    assert len(answer["items"]) == 3
