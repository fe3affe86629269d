"""Feast's registry in a real PostgreSQL: what one process applies, another one on another disk finds."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from feast import Entity, FeatureStore, ValueType
from postgres_cluster import new_database, postgres_programs, running_cluster

from feature_repo.core.workspace import Workspace
from feature_repo.store.open import open_store

PROGRAMS = postgres_programs()
pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(PROGRAMS is None, reason="PostgreSQL is not installed"),
]


@pytest.fixture
def url() -> Iterator[str]:
    assert PROGRAMS is not None
    with running_cluster(PROGRAMS) as address:
        yield new_database(address, "feast")


@contextmanager
def store_on(disk: Path) -> Iterator[FeatureStore]:
    disk.mkdir()
    store = open_store(Workspace(root=disk, store=disk / "store"))
    try:
        yield store
    finally:
        # Feast keeps its connections until its process ends.
        for engine in {store.registry.read_engine, store.registry.write_engine}:
            engine.dispose()


def test_what_one_machine_applies_another_one_finds(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEAST_REGISTRY_URL", url)
    monkeypatch.delenv("ONLINE_STORE", raising=False)

    with store_on(tmp_path / "one") as one:
        one.apply([Entity(name="user", join_keys=["user_id"], value_type=ValueType.STRING)])

    with store_on(tmp_path / "two") as two:
        assert two.get_entity("user").join_key == "user_id"
    assert not list(tmp_path.rglob("feast_registry.db"))
