"""The online stores: Feast deletes whole views or nothing, so the keys of one entity are deleted in the store itself.

SQLite keeps a row for each feature under the serialised key, in one table a view; deleted rows stay readable in free
pages until the file is written anew. Redis keeps one hash for each key, all views in it.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Protocol

from feast import RepoConfig
from feast.infra.online_stores.redis import RedisOnlineStore
from redis.exceptions import RedisError

from feature_repo.core.errors import StoreUnavailable
from feature_repo.core.workspace import Workspace
from feature_repo.store.open import store_config
from training.erase.online_key import online_key, online_prefix
from training.erase.person import Person
from training.erase.search import places_in

WAIT_SECONDS = 30  # for readers and writers of the SQLite file to finish


class OnlineStore(Protocol):
    """What erasing asks of an online store."""

    @property
    def files(self) -> tuple[Path, ...]:
        """Where it is, if it is in files."""

    def count(self, person: Person) -> int:
        """How many places of it name the person."""

    def delete(self, user_id: str) -> int:
        """Remove them; returns how many there were."""

    def delete_all(self, join_key: str) -> None:
        """Remove every entity with this join key."""


class SqliteOnline:
    """Feast's SQLite file. Tables of views that are no longer defined are searched too."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def files(self) -> tuple[Path, ...]:
        return tuple(self._path.with_name(f"{self._path.name}{end}") for end in ("", "-wal", "-journal"))

    def count(self, person: Person) -> int:
        return sum(places_in(file, person) for file in self.files)

    def delete(self, user_id: str) -> int:
        removed = self._delete("entity_key = ?", online_key(user_id))
        with closing(self._connect()) as connection:
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return removed

    def delete_all(self, join_key: str) -> None:
        self._delete("substr(entity_key, 1, length(?1)) = ?1", online_prefix(join_key))

    def _delete(self, where: str, key: bytes) -> int:
        with closing(self._connect()) as connection, connection:
            statements = [f"DELETE FROM {table} WHERE {where}" for table in _tables(connection)]
            return sum(connection.execute(statement, [key]).rowcount for statement in statements)

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, timeout=WAIT_SECONDS)


class RedisOnline:
    """The Redis of Feast's settings. Every method raises StoreUnavailable when it does not answer."""

    files: tuple[Path, ...] = ()

    def __init__(self, config: RepoConfig) -> None:
        self._config = config
        self._online = RedisOnlineStore()

    def count(self, person: Person) -> int:
        with _answering():
            return int(self._client().exists(self._key(person.user_id)))

    def delete(self, user_id: str) -> int:
        with _answering():
            return int(self._client().delete(self._key(user_id)))

    def delete_all(self, join_key: str) -> None:
        with _answering():
            self._online.delete_entity_values(self._config, [join_key])

    def _key(self, user_id: str) -> bytes:
        return online_key(user_id) + str(self._config.project).encode()

    def _client(self) -> Any:
        return self._online._get_client(self._config.online_store)


@contextmanager
def _answering() -> Iterator[None]:
    try:
        yield
    except RedisError as error:
        raise StoreUnavailable(f"the online store did not answer: {error}") from None


def _tables(connection: sqlite3.Connection) -> list[str]:
    statement = (
        "SELECT t.name FROM sqlite_master t, pragma_table_info(t.name) c "
        "WHERE t.type = 'table' AND c.name = 'entity_key'"
    )
    return ['"' + name.replace('"', '""') + '"' for (name,) in connection.execute(statement).fetchall()]


def open_online(workspace: Workspace) -> list[OnlineStore]:
    """The store of the settings, and the embedded file where one was left behind by earlier settings.

    Raises:
        StoreUnavailable: the settings name a kind of store whose keys are not known here.
    """
    config = store_config(workspace)
    kind = config.online_store.type
    if kind not in ("sqlite", "redis"):
        raise StoreUnavailable(f"erasing knows online stores of the types sqlite and redis; got {kind!r}")
    stores: list[OnlineStore] = [SqliteOnline(workspace.feast_online)] if workspace.feast_online.exists() else []
    return [*stores, RedisOnline(config)] if kind == "redis" else stores
