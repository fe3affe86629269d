"""The online store in a real Redis: filled, read, emptied, gone."""

import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from feast import FeatureStore
from servers import free_port, redis_server
from streamed_shop import NOW, USERS, StreamedShop, build_shop

from feature_repo.core.errors import StoreUnavailable
from feature_repo.store.materialize import materialize
from feature_repo.store.online import Read, in_general, in_one_exchange, in_one_query, open_online_reader
from feature_repo.store.open import quiet_feast, stored_features
from feature_repo.store.settings import REPO

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore:On demand feature view is an experimental feature:RuntimeWarning"),
    pytest.mark.filterwarnings("ignore:fetch_arrow_table:DeprecationWarning"),
]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StreamedShop]:
    """A shop in the embedded store."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("ONLINE_STORE", raising=False)
        quiet_feast()
        yield build_shop(tmp_path_factory.mktemp("shop"), repeat=False)


def user_rows(shop: StreamedShop) -> list[dict[str, object]]:
    reader = open_online_reader(shop.workspace)
    return [reader.user_row(f"u{n}") for n in range(USERS)]


def test_redis_holds_what_the_embedded_store_holds(
    shop: StreamedShop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedded = user_rows(shop)
    monkeypatch.setenv("ONLINE_STORE", "redis")
    with redis_server(tmp_path) as url:
        monkeypatch.setenv("REDIS_URL", url)

        filled = [materialize(shop.workspace, until=NOW) for _ in range(2)]

        assert filled[0] is not None
        assert filled[1] is None
        assert user_rows(shop) == embedded
        assert len(embedded[0]["seen_items"]) > 10  # type: ignore[arg-type]
        assert embedded[-1] == {}


def test_sqlite_read_in_one_query_gives_what_feast_gives_at_once(shop: StreamedShop) -> None:
    assert_equal_reads(open_online_reader(shop.workspace).store, in_one_query)


def test_sqlite_is_read_at_once_or_not_at_all(shop: StreamedShop) -> None:
    reader = open_online_reader(shop.workspace)
    assert reader.row_at_once is not None
    writer = sqlite3.connect(shop.workspace.feast_online, isolation_level=None, check_same_thread=False)
    writer.execute("BEGIN EXCLUSIVE")

    with pytest.raises(StoreUnavailable, match="database is locked"):
        reader.row_at_once("u0")
    later = threading.Timer(0.3, writer.rollback)
    later.start()

    waited = reader.user_row("u0")

    later.join()
    assert waited == reader.row_at_once("u0") == user_rows(shop)[0]
    writer.close()


def test_redis_read_in_one_exchange_gives_what_feast_gives_at_once(
    shop: StreamedShop,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ONLINE_STORE", "redis")
    with redis_server(tmp_path) as url:
        monkeypatch.setenv("REDIS_URL", url)
        materialize(shop.workspace, until=NOW)

        reader = open_online_reader(shop.workspace)
        assert reader.row_at_once is None
        assert_equal_reads(reader.store, in_one_exchange)


def assert_equal_reads(store: FeatureStore, read: Callable[[FeatureStore, dict[str, list[str]]], Read]) -> None:
    stored = stored_features(store, "user_id")
    one, other = in_general(store, stored), read(store, stored)
    for user in [*(f"u{n}" for n in range(USERS)), "nobody"]:
        expected = one(user)
        assert other(user) == expected
        assert {name: type(value) for name, value in other(user).items()} == {n: type(v) for n, v in expected.items()}


def test_a_redis_that_came_back_empty_is_filled_again(
    shop: StreamedShop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A restarted server without its data passed for a filled one, and every user was unknown."""
    monkeypatch.setenv("ONLINE_STORE", "redis")
    for life in ("first", "second"):
        (tmp_path / life).mkdir()
        with redis_server(tmp_path / life) as url:
            monkeypatch.setenv("REDIS_URL", url)
            assert materialize(shop.workspace, until=NOW) is not None
            assert user_rows(shop)[0]["user_event_count"]


def test_a_redis_that_is_down_is_one_sentence_and_no_wait(shop: StreamedShop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client's own default retries for seconds, which a request does not have."""
    monkeypatch.setenv("ONLINE_STORE", "redis")
    monkeypatch.setenv("REDIS_URL", f"redis://:secret@127.0.0.1:{free_port()}/0")
    reader = open_online_reader(shop.workspace)
    began = time.monotonic()

    with pytest.raises(StoreUnavailable, match=r"^the online store did not answer: ConnectionError: [^\n]+$"):
        reader.user_row("u0")
    assert time.monotonic() - began < 1
    with pytest.raises(StoreUnavailable, match=r"^the online store at 127\.0\.0\.1:[^\n]+ did not answer: ") as down:
        materialize(shop.workspace, until=NOW)
    assert "secret" not in str(down.value)


def test_the_redis_profile_works_with_feast_itself(tmp_path: Path) -> None:
    repo = tmp_path / "feature_repo"
    repo.mkdir()
    for name in ("definitions.py", "feature_store.redis.yaml"):
        shutil.copy(REPO / name, repo)
    feast = Path(sys.executable).with_name("feast")

    done = subprocess.run(
        [str(feast), "-c", str(repo), "-f", str(repo / "feature_store.redis.yaml"), "apply"],
        env={**os.environ, "BUILD": str(tmp_path / "build"), "DATASET": "movielens-100k"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "user_activity" in done.stdout
    assert (tmp_path / "build" / "feast_registry.db").exists()
