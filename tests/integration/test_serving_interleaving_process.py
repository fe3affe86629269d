"""Interleaving from slate to verdict: a server of two versions, clicks over HTTP, the credit test on the log."""

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from serving_world import write_bundle

from feature_repo.core.workspace import Workspace
from feature_repo.dataset.request_log import read_request_log
from monitoring.experiments.interleaving.job import judge_interleaving
from monitoring.experiments.offpolicy.job import Question
from serving.process import RunningServer, call, running_server

pytestmark = pytest.mark.integration
QUESTION = Question(timedelta(hours=1), ("click",))
USERS = [f"u{n}" for n in range(110)]


@pytest.fixture(scope="module")
def workspace(copy_of_world: Callable[[Path], Workspace], tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    copy = copy_of_world(tmp_path_factory.mktemp("interleaved") / "build")
    write_bundle(copy.bundles / "2", seed=8)
    return copy


@pytest.fixture(scope="module")
def server(workspace: Workspace) -> Iterator[RunningServer]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SERVE_INTERLEAVE", "2")
        patch.setenv("SERVE_LOG_FLUSH_SECONDS", "0.1")
        patch.setenv("SERVE_DEADLINE_MS", "5000")  # a busy machine is no slow version
        patch.setenv("SERVE_STORE_MS", "2000")
        with running_server(workspace, version="1") as server:
            yield server


def post(server: RunningServer, path: str, body: Any) -> dict[str, Any]:
    reply = call(server.port, "POST", path, json.dumps(body).encode())
    assert reply.status in (200, 202), reply.body
    answer: dict[str, Any] = reply.json()
    return answer


def test_two_versions_share_a_slate_and_the_clicks_on_it_name_the_one_that_users_prefer(
    server: RunningServer, workspace: Workspace
) -> None:
    answers = {answer["request_id"]: answer for answer in (post(server, "/recommend", {"user_id": u}) for u in USERS)}
    rows = wait_for_log(workspace, len(answers))
    clicks = [
        click(row["request_id"], user, answers[row["request_id"]]["items"][row["teams"].index(1)]["item_id"])
        for row, user in zip(rows, USERS, strict=True)
    ]
    post(server, "/events", clicks)

    report = judge_interleaving(workspace, "2", QUESTION, alpha=0.05, now=datetime.now(UTC) + timedelta(hours=2))

    assert {row["interleaved"] for row in rows} == {"2"}
    assert all(answer["degraded"] == [] for answer in answers.values())
    assert all(row["slate"] == [i["item_id"] for i in answers[row["request_id"]]["items"]] for row in rows)
    assert all(abs(sum(row["teams"])) <= 1 for row in rows)
    assert (report["verdict"], report["first"], report["second"]) == ("PASS", ["1"], "2")
    assert report["found"]["won_by_second"] == len(USERS)
    assert (workspace.reports / "experiment-interleaving-1-2.html").exists()


def wait_for_log(workspace: Workspace, rows: int) -> list[dict[str, Any]]:
    """The log's rows, in the order of their requests, once all are written."""
    deadline = time.monotonic() + 20
    while (log := read_request_log(workspace)).num_rows < rows:
        assert time.monotonic() < deadline, f"{log.num_rows} of {rows} rows are logged"
        time.sleep(0.05)
    found: list[dict[str, Any]] = log.sort_by("received_at").to_pylist()
    return found


def click(request_id: str, user: str, item_id: str) -> dict[str, Any]:
    at = datetime.now(UTC) + timedelta(seconds=1)
    event = {"user_id": user, "item_id": item_id, "event_type": "click", "request_id": request_id}
    return {**event, "timestamp": at.isoformat()}
