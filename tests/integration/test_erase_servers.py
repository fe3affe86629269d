"""One suite for the online stores that a person is erased from, written by Feast itself; and the bus in Redis."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from feast import Entity, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.infra.online_stores.helpers import get_online_store_from_config
from feast.infra.online_stores.online_store import OnlineStore as FeastOnlineStore
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.types import Int64, String
from servers import free_port, redis_server

from feature_repo.core.errors import StoreUnavailable
from feature_repo.core.workspace import Workspace
from feature_repo.store.open import store_config
from feature_repo.stream.bus import Message
from feature_repo.stream.connect import open_bus
from training.erase.everything import opened
from training.erase.online import OnlineStore, open_online
from training.erase.person import Person
from training.erase.search import places_in

pytestmark = pytest.mark.integration
NOW = datetime(2026, 5, 1, tzinfo=UTC)
ANN, NOBODY = (Person(user, "", distinctive=False) for user in ("ann", "nobody"))
USERS, ITEMS = ("ann", "an", "ann2", "é"), ("t1", "ann")


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with redis_server(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture(params=["sqlite", "redis"])
def workspace(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("ONLINE_STORE", request.param)
    if request.param == "redis":
        monkeypatch.setenv("REDIS_URL", request.getfixturevalue("redis_url"))
    workspace = Workspace(root=tmp_path, store=tmp_path / "store")
    fill(store_config(workspace))
    return workspace


def view(name: str, key: str) -> FeatureView:
    entity = Entity(name=key.removesuffix("_id"), join_keys=[key], value_type=ValueType.STRING)
    fields = [Field(name=key, dtype=String), Field(name="n", dtype=Int64)]
    source = FileSource(path="none.parquet", timestamp_field="event_timestamp")
    return FeatureView(name=name, entities=[entity], ttl=timedelta(0), schema=fields, source=source)


VIEWS = {"user_activity": "user_id", "user_history": "user_id", "item_popularity": "item_id"}


def fill(config: RepoConfig) -> FeastOnlineStore:
    """Two views of four users and one of two items, one of which has a user's id."""
    online = get_online_store_from_config(config.online_store)
    tables = {name: view(name, key) for name, key in VIEWS.items()}
    online.update(config, [], list(tables.values()), [], [], partial=False)
    for name, table in tables.items():
        keys = ITEMS if VIEWS[name] == "item_id" else USERS
        rows = [(entity_key(VIEWS[name], k), {"n": Value(int64_val=n)}, NOW, None) for n, k in enumerate(keys)]
        online.online_write_batch(config, table, rows, None)
    return online


def entity_key(join_key: str, value: str) -> EntityKey:
    return EntityKey(join_keys=[join_key], entity_values=[Value(string_val=value)])


def read(workspace: Workspace, name: str) -> dict[str, int]:
    """What Feast reads: the number of each entity that is there."""
    config, key = store_config(workspace), VIEWS[name]
    names = ITEMS if key == "item_id" else USERS
    answers = get_online_store_from_config(config.online_store).online_read(
        config, view(name, key), [entity_key(key, n) for n in names], ["n"]
    )
    found = zip(names, (values for _, values in answers), strict=True)
    # Redis answers with an empty value for what is not there.
    return {n: values["n"].int64_val for n, values in found if values and values["n"].WhichOneof("val")}


def online(workspace: Workspace) -> OnlineStore:
    (store,) = open_online(workspace)
    return store


def test_one_user_goes_and_nobody_else(workspace: Workspace) -> None:
    store = online(workspace)
    assert store.count(ANN) > 0

    assert store.delete("ann") > 0

    assert store.count(ANN) == store.delete("ann") == 0
    for name in ("user_activity", "user_history"):
        assert read(workspace, name) == {"an": 1, "ann2": 2, "é": 3}
    assert read(workspace, "item_popularity") == {"t1": 0, "ann": 1}


def test_a_user_whom_the_store_does_not_know_is_no_error(workspace: Workspace) -> None:
    assert online(workspace).count(NOBODY) == online(workspace).delete("nobody") == 0


def test_a_store_that_is_down_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONLINE_STORE", "redis")
    monkeypatch.setenv("REDIS_URL", f"redis://127.0.0.1:{free_port()}/0")
    (store,) = open_online(Workspace(root=tmp_path, store=tmp_path / "store"))

    with pytest.raises(StoreUnavailable, match="the online store did not answer"):
        store.count(ANN)


def test_all_items_go_and_no_user(workspace: Workspace) -> None:
    online(workspace).delete_all("item_id")

    assert read(workspace, "item_popularity") == {}
    assert read(workspace, "user_activity") == {"ann": 0, "an": 1, "ann2": 2, "é": 3}


def test_the_embedded_file_is_searched_too_where_the_store_is_now_in_redis(
    tmp_path: Path, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = Workspace(root=tmp_path, store=tmp_path / "store")
    monkeypatch.setenv("ONLINE_STORE", "sqlite")
    fill(store_config(workspace))
    monkeypatch.setenv("ONLINE_STORE", "redis")
    monkeypatch.setenv("REDIS_URL", redis_url)
    fill(store_config(workspace))

    assert sum(store.delete("ann") for store in open_online(workspace)) == 3  # two rows, one key
    assert places_in(workspace.feast_online, ANN) == 0


def test_events_that_wait_on_the_bus_are_removed(
    tmp_path: Path, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = Workspace(root=tmp_path, store=tmp_path / "store")
    monkeypatch.setenv("ONLINE_STORE", "sqlite")
    monkeypatch.setenv("BUS_URL", f"{redis_url}?stream=waiting")
    bus = open_bus(workspace)
    bus.publish([Message(user, f'{{"user_id": "{user}"}}'.encode()) for user in ("ann", "ann2", "ann")])

    with opened(workspace) as everything:
        stores = everything.data(ANN)
        (waiting,) = [store for store in stores if store.name == "event bus"]
        found, removed, left = waiting.find(), waiting.erase(), waiting.find()

    assert (found, removed, left) == (2, 2, 0)
    assert [record.payload for record in bus.read(10, timeout=1.0)] == [b'{"user_id": "ann2"}']
    bus.close()
