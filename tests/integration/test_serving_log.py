"""What a real server leaves behind: the request log, Feast's log, events on a real bus, slates for everybody."""

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from servers import free_port, redis_server
from serving_world import build_world

from feature_repo.core.workspace import Workspace
from feature_repo.dataset.pseudonym import Pseudonyms
from feature_repo.dataset.request_log import read_request_log
from feature_repo.dataset.split import load_split, to_microseconds
from feature_repo.store.online import open_online_reader
from feature_repo.store.open import open_store, quiet_feast
from feature_repo.stream.run import Limits, stream
from serving.batch_plan import current_batch
from serving.process import Reply, call, stop, wait_until_ready
from training.bundle import load_bundle
from training.ranking.candidates import ranker_rows
from training.ranking.logged import LogSource, logged_rows
from training.recommender import build_recommender
from training.replay import Moment, open_timeline

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore:On demand feature view is an experimental feature:RuntimeWarning"),
    pytest.mark.filterwarnings("ignore:fetch_arrow_table:DeprecationWarning"),
]
KEY = "the key of this deployment"
USERS = [f"u{n}" for n in range(20)]


@dataclass
class Running:
    """A server with its log, its bus and its process."""

    workspace: Workspace
    port: int
    pid: int
    bus_port: int
    folder: Path

    def ask(self, user: str, *, at: datetime | None = None) -> dict[str, Any]:
        context = {} if at is None else {"timestamp": at.isoformat()}
        reply = self.post("/recommend", {"user_id": user, "k": 5, "context": context})
        assert reply.status == 200
        answer: dict[str, Any] = reply.json()
        return answer

    def post(self, path: str, body: Any) -> Reply:
        return call(self.port, "POST", path, json.dumps(body).encode())

    def dropped(self) -> float:
        lines = call(self.port, "GET", "/metrics").body.decode().splitlines()
        return float(next(line for line in lines if line.startswith("request_log_dropped_rows_total")).split()[1])

    def logged(self) -> dict[str, dict[str, Any]]:
        return {row["request_id"]: row for row in read_request_log(self.workspace).to_pylist()}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("logged")
    workspace, bus_port = build_world(folder, versions=("1",)), free_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECOMMENDER_PSEUDONYM_KEY", KEY)
        patch.setenv("BUS_URL", f"redis://127.0.0.1:{bus_port}/0?stream=events")
        patch.setenv("SERVE_LOG_FLUSH_SECONDS", "0.1")
        patch.setenv("BUILD", str(workspace.root))
        patch.setenv("STORE_URL", str(workspace.store))
        quiet_feast()
        with served(free_port()) as (port, pid):
            yield Running(workspace, port, pid, bus_port, folder)


@contextmanager
def served(port: int) -> Iterator[tuple[int, int]]:
    command = [sys.executable, "-m", "serving", "run", "--version", "1", "--port", str(port)]
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        try:
            wait_until_ready(process, port, output)
            yield port, process.pid
        finally:
            stop(process)


def eventually(holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 20
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.05)
    return holds()


def event(number: int, user: str = "u1") -> dict[str, Any]:
    moment = (datetime.now(UTC) - timedelta(minutes=1)).isoformat()
    return {"event_id": f"e{number}", "user_id": user, "item_id": "i7", "timestamp": moment, "event_type": "view"}


def test_an_answer_is_in_the_log_under_a_pseudonym_with_the_propensities_of_its_slate(running: Running) -> None:
    answer = running.ask("u3")

    assert eventually(lambda: answer["request_id"] in running.logged())
    row = running.logged()[answer["request_id"]]
    assert row["user_id"] == Pseudonyms(KEY.encode(), in_store=False).of("u3")
    assert row["slate"] == [item["item_id"] for item in answer["items"]]
    assert row["propensities"] == pytest.approx([item["propensity"] for item in answer["items"]])
    assert set(row["slate"]) <= set(row["candidates"])


def test_feast_reads_what_a_request_saw_from_the_log_that_it_declares(running: Running) -> None:
    before = datetime.now(UTC)
    answer = running.ask("u4")
    assert eventually(lambda: answer["request_id"] in running.logged())
    store = open_store(running.workspace)

    log = store._get_provider().retrieve_feature_service_logs(
        feature_service=store.get_feature_service("served_user"),
        start_date=before,
        end_date=datetime.now(UTC),
        config=store.config,
        registry=store.registry,
    )

    (row,) = (row for row in log.to_arrow().to_pylist() if row["__request_id"] == answer["request_id"])
    served_row = json.loads(running.logged()[answer["request_id"]]["user_features"])
    assert row["user_activity__user_event_count"] == served_row["user_event_count"]
    assert row["user_history__history_items"] == served_row["history_items"]
    assert row["user_seen__seen_items"] == served_row["seen_items"]


def test_the_logged_matrix_of_a_moment_is_the_one_that_point_in_time_retrieval_gives(running: Running) -> None:
    workspace, split = running.workspace, load_split(running.workspace)
    moment, until = split.challenger_end, split.test_end
    asked = [running.ask(user, at=moment)["request_id"] for user in USERS]
    assert eventually(lambda: set(asked) <= running.logged().keys())
    bundle, store = load_bundle(workspace.bundles / "1"), open_store(workspace)

    logged = logged_rows(
        workspace,
        LogSource("1", window=until - moment, least=5),
        feature_names=bundle.ranker_features,
        since=moment,
        until=until,
        event_types=("view",),
    )

    timeline = open_timeline(store, workspace, start=moment, end=until)
    requests = [Moment(m.user_id, m.moment_us, m.items, {}, m.event_types) for m in logged.asked]
    expected = ranker_rows(
        store,
        build_recommender(bundle, timeline.table),
        timeline,
        requests,
        lambda: None,
        event_types=("view",),
    )
    assert sorted(m.user_id for m in logged.asked) == sorted(USERS)
    assert {m.moment_us for m in logged.asked} == {to_microseconds(moment)}
    assert logged.item_ids.tolist() == expected.item_ids.tolist()
    np.testing.assert_array_equal(logged.request, expected.request)
    np.testing.assert_allclose(logged.matrix, expected.matrix, rtol=1e-6)
    np.testing.assert_array_equal(logged.answered, expected.answered)


def test_a_full_disk_costs_log_rows_and_no_answer_and_the_log_goes_on_when_there_is_space(running: Running) -> None:
    before, limits = running.dropped(), resource.prlimit(running.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(running.pid, resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        lost = [running.ask(user)["request_id"] for user in USERS[:5]]
        assert eventually(lambda: running.dropped() == before + 5)
    finally:
        resource.prlimit(running.pid, resource.RLIMIT_FSIZE, limits)

    kept = running.ask("u1")["request_id"]

    assert eventually(lambda: kept in running.logged())
    assert not set(lost) & running.logged().keys()
    assert running.dropped() == before + 5
    assert not list(running.workspace.store.glob("*/.*.partial"))


def test_events_are_acknowledged_once_the_bus_has_them_and_reach_the_next_row(running: Running) -> None:
    refused = running.post("/events", [event(1)])
    assert (refused.status, "retry-after" in refused.headers) == (503, True)
    assert "is not on the event bus" in refused.json()["error"]
    assert running.ask("u1")["items"]

    with redis_server(running.folder, port=running.bus_port):
        assert eventually(lambda: running.post("/events", [event(2)]).status == 202)
        assert running.post("/events", [event(1), event(2)]).json() == {"accepted": 0, "duplicates": 2}
        done = stream(running.workspace, Limits(once=True), show=lambda _: None)

    assert (done.counts.applied, done.counts.refused) == (2, 0)
    row = open_online_reader(running.workspace).user_row("u1")
    assert row["history_items"][-2:] == ["i7", "i7"]


def test_slates_for_everybody_are_those_that_requests_get(running: Running) -> None:
    moment = load_split(running.workspace).challenger_end
    options = ["--version", "1", "--k", "5", "--part", "8", "--moment", moment.isoformat()]

    done = subprocess.run(
        [sys.executable, "-m", "serving", "batch", *options], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    assert "20 slates in" in done.stdout.replace("\n", " ")
    files = sorted(current_batch(running.workspace).glob("*.parquet"))
    slates = {row["user_id"]: row for row in pa.concat_tables([pq.read_table(file) for file in files]).to_pylist()}
    assert (len(files), len(slates)) == (3, 20)
    for user in ("u2", "u19"):
        answer = running.ask(user, at=moment)["items"]
        assert slates[user]["item_ids"] == [item["item_id"] for item in answer]
        assert slates[user]["scores"] == pytest.approx([item["score"] for item in answer])


def test_a_process_that_answers_and_logs_carries_no_library_that_only_training_needs(running: Running) -> None:
    running.ask(USERS[0])

    libraries = Path(f"/proc/{running.pid}/maps").read_text(encoding="utf-8")
    assert "onnxruntime" in libraries
    assert [name for name in ("duckdb", "xgboost", "sklearn", "tensorflow") if name in libraries] == []
