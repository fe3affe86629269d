"""Where Feast's registry is: a file of the workspace, or a PostgreSQL."""

from pathlib import Path

import pytest
import yaml

from feature_repo.core.errors import StoreUnavailable
from feature_repo.core.workspace import Workspace
from feature_repo.store.settings import REPO, store_settings


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(root=tmp_path, store=tmp_path / "store")


@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+psycopg"])
def test_a_postgresql_is_named_with_the_driver_that_is_installed(workspace: Workspace, scheme: str) -> None:
    registry = store_settings(workspace, {"FEAST_REGISTRY_URL": f"{scheme}://me:secret@db:5432/feast"})["registry"]

    assert registry == {
        "registry_type": "sql",
        "path": "postgresql+psycopg://me:secret@db:5432/feast",
        "cache_ttl_seconds": 0,
    }


@pytest.mark.parametrize("url", ["mysql://me:secret@db/feast", "postgresql://me:secret@db", "db"])
def test_another_address_is_refused_without_its_password(workspace: Workspace, url: str) -> None:
    with pytest.raises(StoreUnavailable, match=r"^FEAST_REGISTRY_URL is postgresql://.*; got ") as refusal:
        store_settings(workspace, {"FEAST_REGISTRY_URL": url})

    assert "secret" not in str(refusal.value)


def test_the_production_profile_is_what_the_variables_make_of_the_default(workspace: Workspace) -> None:
    profile = yaml.safe_load((REPO / "feature_store.production.yaml").read_text())
    given = {
        "FEAST_REGISTRY_URL": "postgresql://db/feast",
        "ONLINE_STORE": "redis",
        "REDIS_URL": "redis://redis:6379/0",
    }

    made = store_settings(workspace, given)

    profile["registry"]["path"] = "postgresql+psycopg://db/feast"
    assert made == profile
