"""feature_store.yaml with its embedded files where the workspace has them; reading it does not import Feast.

ONLINE_STORE names the profile of the online store: `sqlite` (embedded, the default) or `redis`, which is at REDIS_URL.
OFFLINE_STORE names the one of the offline store: `asof` (DuckDB in this process, the default) or `spark`.
FEAST_REGISTRY_URL names a PostgreSQL for Feast's registry; without it the registry is a file of the workspace.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from feature_repo.core.errors import StoreUnavailable
from feature_repo.core.workspace import Workspace
from feature_repo.store.redis_address import connection_string
from feature_repo.store.registry_place import registry_settings

REPO = Path(__file__).resolve().parents[1]
ONLINE_STORES = ("sqlite", "redis")
OFFLINE_STORES = ("asof", "spark")


def store_settings(workspace: Workspace, environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The settings of Feast's RepoConfig for `workspace`.

    Raises:
        StoreUnavailable: ONLINE_STORE, REDIS_URL, OFFLINE_STORE or FEAST_REGISTRY_URL breaks its rule.
    """
    environ = os.environ if environ is None else environ
    settings = _profile("feature_store.yaml")
    settings["registry"] = registry_settings(settings["registry"], workspace, environ)
    settings["online_store"] = _online_store(settings["online_store"], workspace, environ)
    settings["offline_store"] = _offline_store(settings["offline_store"], environ)
    return settings


def _online_store(declared: dict[str, Any], workspace: Workspace, environ: Mapping[str, str]) -> dict[str, Any]:
    kind = environ.get("ONLINE_STORE") or declared["type"]
    if kind == "redis":
        online = declared if declared["type"] == kind else _profile("feature_store.redis.yaml")["online_store"]
        url = environ.get("REDIS_URL")
        return {**online, "connection_string": connection_string(url, online["connection_string"])} if url else online
    if kind == "sqlite":
        return {"type": kind, "path": str(workspace.feast_online)}
    if kind == declared["type"]:  # a store that a team wrote into feature_store.yaml
        return declared
    raise StoreUnavailable(f"ONLINE_STORE is {' or '.join(ONLINE_STORES)}; got {kind!r}")


def _offline_store(declared: dict[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    kind = environ.get("OFFLINE_STORE")
    if not kind:
        return declared
    if kind not in OFFLINE_STORES:
        raise StoreUnavailable(f"OFFLINE_STORE is {' or '.join(OFFLINE_STORES)}; got {kind!r}")
    store: dict[str, Any] = _profile("feature_store.yaml" if kind == "asof" else f"feature_store.{kind}.yaml")[
        "offline_store"
    ]
    return store


def _profile(name: str) -> dict[str, Any]:
    profile: dict[str, Any] = yaml.safe_load((REPO / name).read_text(encoding="utf-8"))
    return profile
