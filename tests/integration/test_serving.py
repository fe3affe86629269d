"""Servers as real processes on this machine's loopback, over a real store and a bundle made by hand."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from feature_repo.core.workspace import Workspace, read_json
from feature_repo.dataset.received import read_received
from feature_repo.dataset.request_log import request_log_files
from k8s.latency import measure_challenger
from serving.process import HOST, Reply, ServerFailed, call, free_port, running, running_server
from serving.request_log import read_request_log

pytestmark = pytest.mark.integration

AT = {"timestamp": "1998-07-25T00:00:00Z"}


def ask(port: int, path: str, **fields: Any) -> Reply:
    return call(port, "POST", path, json.dumps(fields).encode())


def run_cli(workspace: Workspace, *arguments: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "BUILD": str(workspace.root), "STORE_URL": str(workspace.store)}
    return subprocess.run(
        [sys.executable, "-m", "serving", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture(scope="module", autouse=True)
def unhurried() -> Iterator[None]:
    """Servers with time: what these tests are about is not how busy the machine is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SERVE_DEADLINE_MS", "10000")
        patch.setenv("SERVE_STORE_MS", "5000")
        yield


@pytest.fixture(scope="module")
def workspace(copy_of_world: Callable[[Path], Workspace], tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return copy_of_world(tmp_path_factory.mktemp("served") / "build")


@pytest.fixture(scope="module")
def port(workspace: Workspace) -> Iterator[int]:
    with running_server(workspace, version="1") as server:
        yield server.port


def test_a_known_user_gets_a_slate_without_items_seen_before(port: int) -> None:
    reply = ask(port, "/recommend", user_id="u3", k=5, context=AT)

    answer = reply.json()
    assert reply.status == 200
    assert answer["degraded"] == []
    assert answer["model_version"] == "1"
    assert [item["rank"] for item in answer["items"]] == [1, 2, 3, 4, 5]
    assert {item["source"] for item in answer["items"]} <= {"two-tower", "popular-30d"}
    assert {item["propensity"] for item in answer["items"]} == {1.0}


def test_unknown_users_and_items_get_answers(port: int) -> None:
    assert len(ask(port, "/recommend", user_id="nobody", k=3).json()["items"]) == 3
    assert len(ask(port, "/similar", item_id="nothing", k=3).json()["items"]) == 3
    assert len(ask(port, "/similar", item_id="i1", k=3).json()["items"]) == 3


def test_excluded_items_are_not_in_the_slate(port: int) -> None:
    first = [item["item_id"] for item in ask(port, "/recommend", user_id="u3", k=5, context=AT).json()["items"]]

    again = ask(port, "/recommend", user_id="u3", k=5, context=AT, exclude=first).json()["items"]

    assert not set(first) & {item["item_id"] for item in again}


def test_the_server_says_what_it_serves_and_that_it_lives(port: int) -> None:
    assert call(port, "GET", "/readyz").json() == {"ready": True, "model_version": "1", "variant": "stable"}
    assert call(port, "GET", "/livez").status == 200


def test_metrics_hold_our_counters_and_the_processs(port: int) -> None:
    ask(port, "/recommend", user_id="u3")
    ask(port, "/recommend", user_id="")

    text = call(port, "GET", "/metrics").body.decode()

    assert 'recommend_requests_total{code="200"}' in text
    assert 'recommend_requests_total{code="400"}' in text
    assert 'recommend_duration_seconds_bucket{le="0.01"}' in text
    assert 'recommend_stage_seconds_count{stage="retrieve"}' in text
    assert "process_resident_memory_bytes" in text


def test_events_over_http_are_durable_and_idempotent(port: int, workspace: Workspace) -> None:
    event = {"user_id": "u1", "item_id": "i1", "timestamp": "1998-08-01T00:00:00Z", "event_type": "view"}

    replies = [ask(port, "/events", events=[event]) for _ in range(2)]

    assert [reply.status for reply in replies] == [202, 202]
    assert [reply.json()["duplicates"] for reply in replies] == [0, 1]
    assert read_received(workspace).num_rows == 1


def test_an_oversized_body_and_bad_json_are_refused_with_a_sentence(port: int) -> None:
    for body in (b"{" + b" " * 1_000_001, b"{", b"[]"):
        reply = call(port, "POST", "/recommend", body)

        assert reply.status == 400
        assert "got" in reply.json()["error"]


@dataclass(frozen=True)
class Incident:
    """A server that answered, lost its store, answered twice more, and was stopped."""

    workspace: Workspace
    before: list[Reply]
    after: Reply  # for a user who was served before
    stranger: Reply  # for one who was not
    metrics: str


@pytest.fixture(scope="module")
def incident(workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Incident:
    # In its own copy of the world, since the store is broken while the server runs.
    root = tmp_path_factory.mktemp("incident") / "build"
    shutil.copytree(workspace.root, root, ignore=shutil.ignore_patterns("request_log", "received", "bentoml"))
    broken = Workspace(root=root, store=root / "store")
    with running_server(broken, version="1", variant="canary") as server, ThreadPoolExecutor(4) as pool:
        before = list(pool.map(lambda n: ask(server.port, "/recommend", user_id=f"u{n % 20}"), range(50)))
        drop_tables(broken.feast_online)
        after = ask(server.port, "/recommend", user_id="u3", context=AT)
        stranger = ask(server.port, "/recommend", user_id="stranger", context=AT)
        metrics = call(server.port, "GET", "/metrics").body.decode()
    return Incident(broken, before, after, stranger, metrics)


def drop_tables(database: Path) -> None:
    with closing(sqlite3.connect(database)) as connection, connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (table,) in tables:
            connection.execute(f'DROP TABLE "{table}"')


def test_a_server_that_is_stopped_finishes_its_log(incident: Incident) -> None:
    rows = read_request_log(incident.workspace).to_pylist()

    asked = {reply.json()["request_id"] for reply in (*incident.before, incident.after, incident.stranger)}
    assert {row["request_id"] for row in rows} == asked
    assert {(row["variant"], row["model_version"]) for row in rows} == {("canary", "1")}
    assert all(len(row["features"]) == len(row["candidates"]) for row in rows)


def test_a_server_that_is_stopped_leaves_no_files_of_its_own(incident: Incident) -> None:
    assert list((incident.workspace.root / "bentoml").glob("metrics-*")) == []


def test_a_store_that_is_gone_degrades_answers_and_never_repeats_items(incident: Incident) -> None:
    assert {reply.status for reply in (*incident.before, incident.after, incident.stranger)} == {200}
    # By the row that was read last: personal, and without what was seen by then.
    known = incident.before[3]
    assert incident.after.json()["degraded"] == ["features"]
    assert len(incident.after.json()["items"]) == len(known.json()["items"]) > 0
    assert incident.stranger.json()["items"] == []
    assert incident.stranger.json()["degraded"] == ["features", "seen"]
    assert 'recommend_degraded_total{part="features"} 2.0' in incident.metrics
    assert 'recommend_fallback_total{rung="last_known_row"} 1.0' in incident.metrics


def test_a_probe_measures_start_and_latency_apart_from_what_people_ask(workspace: Workspace) -> None:
    """The job of the cluster starts the command that is run on a laptop, and its requests are in nobody's log."""
    logged = request_log_files(workspace)

    said = measure_challenger(workspace, challenger=lambda: "1", requests=20)

    report = read_json(workspace.reports / "latency.json", made_by="probe")
    assert said.startswith("version 1 is measured")
    assert request_log_files(workspace) == logged
    assert (report["version"], report["requests"], report["degraded"]) == ("1", 20, 0)
    assert report["candidates"] == 20
    assert 0 < report["p50_ms"] <= report["p99_ms"]
    assert report["ready_ratio"] == pytest.approx(report["ready_seconds"] / report["import_seconds"])


def test_a_bento_serves_its_version_from_a_clean_directory(workspace: Workspace, tmp_path: Path) -> None:
    bento, clean, port = tmp_path / "bento", tmp_path / "clean", free_port()
    clean.mkdir()
    done = run_cli(workspace, "build", "--version", "1", "--output", str(bento))
    # Nothing of ours in the environment but where the store is: version and bundle come from the Bento.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("SERVE_")}
    environment |= {"BUILD": str(workspace.root), "STORE_URL": str(workspace.store)}
    environment |= {"BENTOML_HOME": str(clean / "home"), "BENTOML_DO_NOT_TRACK": "True"}
    bentoml = str(Path(sys.executable).with_name("bentoml"))
    command = ["env", f"--chdir={clean}", bentoml, "serve", str(bento), "--host", HOST, "--port", str(port)]

    with running(command, port=port, environment=environment):
        served = call(port, "GET", "/readyz").json()
        answer = ask(port, "/recommend", user_id="u3", k=5, context=AT).json()

    assert "built recommender:1" in done.stdout
    assert served == {"ready": True, "model_version": "1", "variant": "stable"}
    assert len(answer["items"]) == 5
    assert not [path for path in bento.rglob("*") if path.suffix in (".pkl", ".pickle")]
    assert not {path.name for path in bento.rglob("*.py")} & {"two_tower.py", "lambdamart.py", "registry.py"}


def test_a_bento_is_not_exported_over_what_is_there(workspace: Workspace, tmp_path: Path) -> None:
    done = run_cli(workspace, "build", "--version", "1", "--output", str(tmp_path))

    assert done.returncode == 2
    assert done.stderr.startswith("error: --output must name a new folder; got")


def test_a_version_that_was_not_fetched_is_a_sentence_and_status_2(workspace: Workspace) -> None:
    done = run_cli(workspace, "run", "--version", "9")

    assert done.returncode == 2
    assert done.stderr.startswith("error: the bundle of version 9 is not in")
    assert "run `python -m training fetch --version 9`" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_altered_bundle_is_refused_at_start(workspace: Workspace) -> None:
    shutil.copytree(workspace.bundles / "1", workspace.bundles / "8")
    (workspace.bundles / "8" / "ranker.ubj").write_bytes(b"altered")

    done = run_cli(workspace, "run", "--version", "8", "--port", str(free_port()))

    assert done.returncode == 2
    assert "ranker.ubj: expected SHA-256" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_in_use_is_a_sentence_and_status_2(workspace: Workspace, port: int) -> None:
    done = run_cli(workspace, "run", "--version", "1", "--port", str(port))

    assert done.returncode == 2
    assert f"error: the server needs a free address; got {HOST} port {port}" in done.stderr


def test_waiting_for_a_server_that_ends_says_what_it_said(workspace: Workspace) -> None:
    refusal = pytest.raises(ServerFailed, match=r"ended with status 2: error: the bundle of version 9")
    with refusal, running_server(workspace, version="9"):
        pass


def test_a_probe_with_too_few_events_says_how_many_there_are(workspace: Workspace) -> None:
    done = run_cli(workspace, "probe", "--version", "1", "--requests", "100000")

    assert done.returncode == 2
    assert "a probe of 100000 requests needs as many held-out events; got" in done.stderr


def test_the_log_of_real_answers_reads_as_one_table(port: int, workspace: Workspace) -> None:
    ask(port, "/recommend", user_id="u3", context=AT)

    table = read_request_log(workspace)

    assert isinstance(table, pa.Table)
    assert set(table["model_version"].to_pylist()) <= {"1"}
