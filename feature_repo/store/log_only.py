"""The offline store of a process that reads the online one: it takes the log of served features, and nothing else.

Feast opens an offline store with every online one, and ours brings DuckDB and Ibis: a second, and 40 MB for good.
"""

from feast.infra.offline_stores.offline_store import OfflineStore
from feast.repo_config import FeastConfigBaseModel

from feature_repo.store.asof_log import write_log

LOG_ONLY = "feature_repo.store.log_only.LogOnlyOfflineStore"


class LogOnlyOfflineStoreConfig(FeastConfigBaseModel):  # type: ignore[misc]
    """Feast finds this class by its name."""

    type: str = LOG_ONLY


class LogOnlyOfflineStore(OfflineStore):  # type: ignore[misc]
    """Whatever else it is asked for it refuses, as Feast's base class does."""

    write_logged_features = staticmethod(write_log)
