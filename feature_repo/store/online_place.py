"""Which online store is filled: a store that was made anew, or restarted without its data, is another place."""

from feature_repo.core.errors import StoreUnavailable
from feature_repo.core.workspace import Workspace
from feature_repo.store.redis_address import without_secrets
from feature_repo.store.settings import store_settings


def online_place(workspace: Workspace) -> str:
    """A name for the online store's present life.

    Raises:
        StoreUnavailable: it does not answer.
    """
    online = store_settings(workspace)["online_store"]
    if online["type"] == "redis":
        return _redis_place(online["connection_string"])
    file = workspace.feast_online
    return str(file.stat().st_ino) if online["type"] == "sqlite" and file.exists() else "elsewhere"


def _redis_place(address: str) -> str:
    import redis
    from feast.infra.online_stores.redis import RedisOnlineStore, RedisOnlineStoreConfig

    try:
        with RedisOnlineStore()._get_client(RedisOnlineStoreConfig(connection_string=address)) as client:
            server = client.info("server")
    except redis.RedisError as error:
        raise StoreUnavailable(f"the online store at {without_secrets(address)} did not answer: {error}") from error
    return f"{without_secrets(address)} {server['run_id']}"
