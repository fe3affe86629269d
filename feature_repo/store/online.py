"""The online side: one read for one user."""

from typing import Any

from feast import FeatureStore

from feature_repo.core.errors import StoreUnavailable
from feature_repo.core.workspace import Workspace
from feature_repo.store.open import references, store_config, stored_features
from feature_repo.store.redis_address import with_time_limits


class OnlineReader:
    """Reads the stored user features that the feature services name."""

    def __init__(self, store: FeatureStore, features: list[str]) -> None:
        self._store = store
        self._features = features

    @property
    def store(self) -> FeatureStore:
        """The open feature store, for what else is done with it."""
        return self._store

    def user_row(self, user_id: str) -> dict[str, Any]:
        """Raw features by name; a feature without a value is left out, so an unknown user is an empty dict.

        Raises:
            StoreUnavailable: the store did not answer.
        """
        try:
            answer = self._store.get_online_features(
                features=self._features, entity_rows=[{"user_id": user_id}]
            ).to_dict()
        except Exception as error:
            raise StoreUnavailable(f"the online store did not answer: {type(error).__name__}: {error}") from error
        return {name: values[0] for name, values in answer.items() if name != "user_id" and values[0] is not None}


def open_online_reader(workspace: Workspace, *, seconds: float | None = None) -> OnlineReader:
    """Open the store once and resolve which features a request reads.

    With `seconds` a client that has a socket gives up an exchange that takes longer, so that a reader whose connection
    was cut without a word finds out.
    """
    config = store_config(workspace)
    if seconds is not None and config.online_store.type == "redis":
        config.online_store.connection_string = with_time_limits(config.online_store.connection_string, seconds)
    store = FeatureStore(config=config)
    return OnlineReader(store, references(stored_features(store, "user_id")))
