"""Which online store the environment names, and how its address reaches Feast."""

from pathlib import Path

import pytest
import yaml

from feature_repo.core.errors import StoreUnavailable
from feature_repo.core.workspace import Workspace
from feature_repo.store.redis_address import connection_string, without_secrets
from feature_repo.store.settings import REPO, store_settings

LIMITS = "retry=null,socket_connect_timeout=2,socket_timeout=10"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(root=tmp_path, store=tmp_path / "store")


def test_the_default_is_the_embedded_file_of_the_workspace(workspace: Workspace) -> None:
    settings = store_settings(workspace, {})

    assert settings["online_store"] == {"type": "sqlite", "path": str(workspace.feast_online)}
    assert settings["registry"]["path"] == str(workspace.feast_registry)


def test_redis_is_chosen_by_name_and_found_by_its_url(workspace: Workspace) -> None:
    chosen = {"ONLINE_STORE": "redis", "REDIS_URL": "redis://cache:6380/2"}

    settings = store_settings(workspace, chosen)

    assert settings["online_store"]["type"] == "redis"
    assert settings["online_store"]["connection_string"] == f"cache:6380,db=2,{LIMITS}"
    assert settings["registry"]["path"] == str(workspace.feast_registry)


def test_a_url_alone_does_not_change_the_store(workspace: Workspace) -> None:
    assert store_settings(workspace, {"REDIS_URL": "redis://cache"}) == store_settings(workspace, {})


def test_the_profile_for_feast_itself_differs_from_the_default_in_the_online_store_only() -> None:
    default, redis = (
        yaml.safe_load((REPO / name).read_text()) for name in ("feature_store.yaml", "feature_store.redis.yaml")
    )

    assert redis.pop("online_store")["connection_string"].startswith("localhost:6379,db=0,retry=null")
    assert {name: value for name, value in default.items() if name != "online_store"} == redis


def test_names_passwords_and_tls_reach_feast_and_no_report() -> None:
    address = connection_string("rediss://me:p%40ss%2Fword@cache", f"localhost:6379,db=0,{LIMITS}")

    assert address == f"cache:6379,db=0,{LIMITS},ssl=true,username=me,password=p@ss/word"
    assert without_secrets(address) == f"cache:6379,db=0,{LIMITS},ssl=true"


@pytest.mark.parametrize(
    "url",
    ["cache:6379", "http://u:secret@cache", "redis://", "redis://u:secret@cache:port", "redis://u:secret@h/first"],
)
def test_an_address_that_is_none_is_refused_without_its_password(workspace: Workspace, url: str) -> None:
    with pytest.raises(StoreUnavailable, match=r"^REDIS_URL is redis://.*; got ") as refusal:
        store_settings(workspace, {"ONLINE_STORE": "redis", "REDIS_URL": url})

    assert "secret" not in str(refusal.value)


def test_a_password_that_feast_would_cut_in_two_is_refused() -> None:
    with pytest.raises(StoreUnavailable, match="commas"):
        connection_string("redis://me:a%2Cb@cache", "localhost:6379")


def test_a_store_of_another_name_is_refused(workspace: Workspace) -> None:
    with pytest.raises(StoreUnavailable, match=r"^ONLINE_STORE is sqlite or redis; got 'mongo'$"):
        store_settings(workspace, {"ONLINE_STORE": "mongo"})
