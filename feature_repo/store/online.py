"""The online side: one read for one user."""

from collections.abc import Callable
from typing import Any

from feast import FeatureStore
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.type_map import feast_value_type_to_python_type

from feature_repo.core.errors import StoreUnavailable
from feature_repo.core.workspace import Workspace
from feature_repo.store.log_only import LOG_ONLY
from feature_repo.store.open import references, store_config, stored_features
from feature_repo.store.redis_address import with_time_limits

# Features of one user by name, None where one has no value.
Read = Callable[[str], dict[str, Any]]


class OnlineReader:
    """Reads the stored user features that the feature services name.

    `at_once` is the read of a store that is a file here: it never waits, and fails where it would have to.
    """

    def __init__(self, store: FeatureStore, read: Read, at_once: Read | None = None) -> None:
        self._store = store
        self._read = read
        self._at_once = at_once

    @property
    def store(self) -> FeatureStore:
        """The open feature store, for what else is done with it."""
        return self._store

    def user_row(self, user_id: str) -> dict[str, Any]:
        """Raw features by name; a feature without a value is left out, so an unknown user is an empty dict.

        Raises:
            StoreUnavailable: the store did not answer.
        """
        return _row(self._read, user_id)

    @property
    def row_at_once(self) -> Read | None:
        """The same without waiting for a writer; None of a store that is somewhere else."""
        at_once = self._at_once
        return None if at_once is None else lambda user_id: _row(at_once, user_id)


def open_online_reader(workspace: Workspace, *, seconds: float | None = None) -> OnlineReader:
    """Open the store once and resolve which features a request reads.

    With `seconds` a client that has a socket gives up an exchange that takes longer, so that a reader whose connection
    was cut without a word finds out.
    """
    config = store_config(workspace, offline_store={"type": LOG_ONLY})
    if seconds is not None and config.online_store.type == "redis":
        config.online_store.connection_string = with_time_limits(config.online_store.connection_string, seconds)
    store = FeatureStore(config=config)
    stored = stored_features(store, "user_id")
    read = _READS.get(config.online_store.type, in_general)(store, stored)
    at_once = in_one_query(store, stored, waits=False) if config.online_store.type == "sqlite" else None
    return OnlineReader(store, read, at_once)


def _row(read: Read, user_id: str) -> dict[str, Any]:
    try:
        row = read(user_id)
    except Exception as error:
        raise StoreUnavailable(f"the online store did not answer: {type(error).__name__}: {error}") from error
    return {name: value for name, value in row.items() if value is not None}


def in_general(store: FeatureStore, stored: dict[str, list[str]]) -> Read:
    """Feast's general read."""
    features = references(stored)

    def read(user_id: str) -> dict[str, Any]:
        answer = store.get_online_features(features=features, entity_rows=[{"user_id": user_id}]).to_dict()
        return {name: values[0] for name, values in answer.items() if name != "user_id"}

    return read


def in_one_query(store: FeatureStore, stored: dict[str, list[str]], *, waits: bool = True) -> Read:
    """The same of SQLite, which has a table for each view: one statement, a fifth of the general read's time.

    What the tables and keys are called is asked of Feast's own store. Without `waits` a read fails while somebody
    writes, where it would else wait for seconds.
    """
    from feast.infra.online_stores.sqlite import SqliteOnlineStore, _quote_id, _table_id

    sqlite, config = SqliteOnlineStore(), store.config
    versions = config.registry.enable_online_feature_view_versioning
    tables = [_quote_id(_table_id(config.project, store.get_feature_view(view), versions)) for view in stored]
    select = " UNION ALL ".join(f"SELECT feature_name, value FROM {table} WHERE entity_key = ?1" for table in tables)
    names = [name for features in stored.values() for name in features]
    if not waits:
        sqlite._get_conn(config).execute("PRAGMA busy_timeout = 0")

    def read(user_id: str) -> dict[str, Any]:
        key = serialize_entity_key(_key_of(user_id), config.entity_key_serialization_version)
        found = dict(sqlite._get_conn(config).execute(select, (key,)))
        return {name: _python_value(found.get(name)) for name in names}

    return read


def in_one_exchange(store: FeatureStore, stored: dict[str, list[str]]) -> Read:
    """The same of Redis, where one hash holds all views of a user: one command, a third of the general read's time.

    What the keys are is asked of Feast's own store.
    """
    from feast.infra.online_stores.redis import RedisOnlineStore, _versioned_fv_name

    redis, config = RedisOnlineStore(), store.config
    names, fields = [], []
    for view_name, features in stored.items():
        view = store.get_feature_view(view_name)
        key = _versioned_fv_name(view, config)
        _, keys = redis._generate_hset_keys_for_features(view, list(features), fv_name_override=key)
        names += features
        fields += keys[: len(features)]  # behind them stands the moment of the write

    def read(user_id: str) -> dict[str, Any]:
        (place,) = redis._generate_redis_keys_for_entities(config, [_key_of(user_id)])
        (found,) = redis._read_hash_fields(config, [(place, fields)])
        return {name: _python_value(value) for name, value in zip(names, found, strict=True)}

    return read


# Values that are as they are in Python, and lists of such.
_PLAIN = frozenset({"string_val", "int32_val", "int64_val", "float_val", "double_val", "bool_val"})
_LISTS = frozenset(name.replace("_val", "_list_val") for name in _PLAIN)

# How the store of a type is read; Feast's general read is for all others.
_READS = {"sqlite": in_one_query, "redis": in_one_exchange}


def _python_value(message: bytes | None) -> Any:
    if not message:
        return None
    value = Value.FromString(message)
    kind = value.WhichOneof("val")
    if kind in _PLAIN:
        return getattr(value, kind)
    # Feast's own way asks thirty questions of each value.
    return list(getattr(value, kind).val) if kind in _LISTS else feast_value_type_to_python_type(value)


def _key_of(user_id: str) -> EntityKey:
    return EntityKey(join_keys=["user_id"], entity_values=[Value(string_val=user_id)])
