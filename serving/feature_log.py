"""The users' features as served, in the log that Feast declares for them and reads back.

The feature service `served_user` has a LoggingConfig; its logging source says the columns: the user (a pseudonym), each
feature with its status, the moment, the request. Feast's form holds one row for one entity, so what belongs to the
candidates stays in the request log, and `__request_id` joins the two.

Feast's `<feature>__timestamp` stays empty: an online read tells values, not when each was written.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from feature_repo.dataset.pseudonym import Pseudonyms
from serving.request_log import LoggedRequest

if TYPE_CHECKING:
    from feast import FeatureStore

SERVICE = "served_user"
# Feast's FieldStatus: a value, a feature without one in a row that is there, no row at all.
PRESENT, NULL_VALUE, NOT_FOUND = 1, 2, 3
LOG_TIMESTAMP, LOG_DATE, REQUEST_ID = "__log_timestamp", "__log_date", "__request_id"


class FeatureLog:
    """Writes tables of `schema` to wherever the feature store's definitions say."""

    def __init__(self, write: Callable[[pa.Table], object], schema: pa.Schema) -> None:
        self._write = write
        self._schema = schema

    def write(self, rows: Sequence[LoggedRequest], pseudonyms: Pseudonyms) -> None:
        """Log the rows whose users could be read."""
        read = [row for row in rows if row.user_row is not None]
        if read:
            self._write(feature_table(read, pseudonyms, self._schema))


def open_feature_log(store: "FeatureStore") -> FeatureLog | None:
    """Feast's log of what users' rows held; None where the applied definitions are too old to declare it."""
    from feast.errors import FeastObjectNotFoundException
    from feast.feature_logging import FeatureServiceLoggingSource

    try:
        service = store.get_feature_service(SERVICE)
    except FeastObjectNotFoundException:
        return None
    source = FeatureServiceLoggingSource(service, store.project)
    return FeatureLog(lambda table: store.write_logged_features(table, service), source.get_schema(store.registry))


def feature_table(rows: Sequence[LoggedRequest], pseudonyms: Pseudonyms, schema: pa.Schema) -> pa.Table:
    """`rows` in the columns of Feast's logging source; every row's `user_row` is there."""
    users: list[Mapping[str, Any]] = [row.user_row or {} for row in rows]
    own: dict[str, list[Any]] = {
        "user_id": [pseudonyms.of(row.user_id) for row in rows],
        LOG_TIMESTAMP: [row.received_at for row in rows],
        LOG_DATE: [row.received_at.date() for row in rows],
        REQUEST_ID: [row.request_id for row in rows],
    }
    features = features_by_view(schema)
    columns = []
    for field in schema:
        view, name, kind = (*field.name.split("__"), "", "")[:3]
        if field.name in own:
            values = own[field.name]
        elif kind == "status":
            values = [_status(user, name, features[view]) for user in users]
        elif kind == "timestamp":
            values = [None] * len(rows)
        else:
            values = [user.get(name) for user in users]
        columns.append(pa.array(values, field.type))
    return pa.table(columns, schema=schema)


def features_by_view(schema: pa.Schema) -> dict[str, list[str]]:
    """The features of each view in Feast's schema, where they are called `<view>__<feature>`."""
    found: dict[str, list[str]] = {}
    for column in schema.names:
        view, _, name = column.partition("__")
        if view and name and "__" not in name:
            found.setdefault(view, []).append(name)
    return found


def _status(user: Mapping[str, Any], name: str, of_view: Sequence[str]) -> int:
    if user.get(name) is not None:
        return PRESENT
    return NULL_VALUE if any(user.get(other) is not None for other in of_view) else NOT_FOUND
