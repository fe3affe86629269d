"""The registry on a real PostgreSQL: MLflow's tables, the advisory lock, fencing, races of whole processes, SIGKILL."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Barrier, Thread

import psycopg
import pytest
from postgres_cluster import new_database, postgres_programs, running_cluster
from promotable_workspace import (
    NEW_ALIASES,
    NOW,
    OLD_ALIASES,
    POLICY,
    RememberedDeployer,
    build_promotable,
    put_back,
)

from feature_repo.core.workspace import Workspace
from training import registry
from training.promote import promote
from training.registry import Kind, Mover, MoveRefused, connection
from training.registry.alias_view import open_move
from training.registry.audit_log import read_audit
from training.registry.names import MODEL
from training.registry.postgres_lock import one_at_a_time

PROGRAMS = postgres_programs()
pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(PROGRAMS is None, reason="PostgreSQL is not installed"),
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning"),
]
HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    assert PROGRAMS is not None
    with running_cluster(PROGRAMS) as address:
        yield address


@pytest.fixture(scope="module")
def built(address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", new_database(address, "registry"))
        patch.delenv("REGISTRY_LOCK_URL", raising=False)
        yield build_promotable(tmp_path_factory.mktemp("promotable"))


@pytest.fixture
def workspace(built: Workspace) -> Workspace:
    put_back(built)
    return built


def child(workspace: Workspace, folder: Path, *options: str) -> "subprocess.Popen[str]":
    paths = os.pathsep.join([str(HERE.parents[1]), str(HERE.parent)])
    command = [sys.executable, str(HERE / "promote_child.py"), str(workspace.root), str(folder), *options]
    return subprocess.Popen(
        command, env={**os.environ, "PYTHONPATH": paths}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_two_processes_that_promote_at_once_make_one_move(workspace: Workspace, tmp_path: Path) -> None:
    racing = [child(workspace, tmp_path) for _ in range(2)]

    ends = sorted(one.communicate(timeout=120)[0].strip() for one in racing)

    assert ends == ["decided True", "up to date True"]
    assert registry.aliases(workspace) == NEW_ALIASES
    assert [line["event"] for line in read_audit(workspace)].count("move intended") == 1


def test_a_promotion_that_is_killed_is_ended_by_the_next_process(workspace: Workspace, tmp_path: Path) -> None:
    killed = child(workspace, tmp_path, "hang")
    deadline = time.monotonic() + 60
    while not (tmp_path / "deploying").exists():
        assert time.monotonic() < deadline
        assert killed.poll() is None
        time.sleep(0.05)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    killed.communicate()
    assert registry.aliases(workspace) == OLD_ALIASES
    assert open_move(registry.connect(workspace)) is not None

    deployer = RememberedDeployer()
    done = promote(workspace, POLICY, deployer=deployer, now=NOW)

    assert (done.moved, deployer.version) == (True, "2")
    assert registry.aliases(workspace) == NEW_ALIASES
    # The server let go of the lock with the killed process, and the next mover's fence is higher.
    assert deployer.fence > int((tmp_path / "deploying").read_text().split()[1])


def test_a_mover_whose_connection_breaks_moves_nothing_more(workspace: Workspace, address: str) -> None:
    deployer = RememberedDeployer()
    with registry.alias_lock(workspace) as held:
        with psycopg.connect(f"{address}/registry", autocommit=True) as other:
            other.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND pid <> pg_backend_pid()"
            )

        with pytest.raises(MoveRefused, match="the connection that held the lock 'recommender aliases' was lost"):
            Mover(workspace, held, deployer).move(Kind.PROMOTION, old="1", new="2", now=NOW, reason={})

    assert registry.aliases(workspace) == OLD_ALIASES
    assert deployer.deployed == []


def test_a_lock_that_another_connection_holds_is_refused_after_the_wait(address: str) -> None:
    with (
        one_at_a_time(f"{address}/postgres", "a lock", wait_seconds=5),
        pytest.raises(MoveRefused, match=r"the lock 'a lock' is held by another process for over 0\.1 s"),
        one_at_a_time(f"{address}/postgres", "a lock", wait_seconds=0.1),
    ):
        pass


def test_two_locks_of_one_database_do_not_meet(address: str) -> None:
    with (
        one_at_a_time(f"{address}/postgres", "one", wait_seconds=0.1) as one,
        one_at_a_time(f"{address}/postgres", "another", wait_seconds=0.1) as another,
    ):
        one()
        another()


def test_a_lock_may_be_in_another_postgresql_than_the_registry(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGISTRY_LOCK_URL", f"{address}/postgres")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)

    assert registry.lock_url(Workspace(root=tmp_path, store=tmp_path)) == f"{address}/postgres"


def test_the_first_model_is_made_once_however_many_make_it(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", new_database(address, "empty"))
    workspace = Workspace(root=tmp_path, store=tmp_path / "store")
    start, raised = Barrier(4), []

    def make() -> None:
        start.wait()
        try:
            client = registry.connect(workspace)
            connection.ensure_model(client)
            connection.experiment(client, workspace)
        except Exception as error:  # noqa: BLE001 - whatever it is, the test says it
            raised.append(error)

    threads = [Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert raised == []
    assert [model.name for model in registry.connect(workspace).search_registered_models()] == [MODEL]
    assert registry.aliases(workspace) == {}


@contextmanager
def s3_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """S3's interface, as moto serves it on the loopback address; it keeps objects in memory."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    url = "http://{}:{}".format(*server.get_host_and_port())
    settings = {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s", "AWS_DEFAULT_REGION": "us-east-1"}
    for name, value in {**settings, "MLFLOW_S3_ENDPOINT_URL": url}.items():
        monkeypatch.setenv(name, value)
    try:
        boto3.client("s3", endpoint_url=url).create_bucket(Bucket="models")
        yield "s3://models/registry"
    finally:
        server.stop()


def test_bundles_of_a_registry_in_postgresql_lie_in_s3(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", new_database(address, "artefacts"))
    with s3_server(monkeypatch) as root:
        monkeypatch.setenv("MLFLOW_DEFAULT_ARTIFACT_ROOT", root)
        workspace = build_promotable(tmp_path / "first")
        elsewhere = Workspace(root=tmp_path / "second", store=tmp_path / "second" / "store")

        fetched = registry.download_bundle(elsewhere, "2")

        client = registry.connect(elsewhere)
        uri = client.get_run(client.get_model_version(MODEL, "2").run_id).info.artifact_uri
    assert uri.startswith("s3://models/registry/recommender/")
    assert not (workspace.mlflow / "artifacts").exists()
    assert {file.name for file in fetched.iterdir()} >= {"manifest.json", "ranker.ubj"}
