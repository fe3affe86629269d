"""What the features would be if the log had ended just before each request: the answer that cannot see the future.

Every probe gets a small world of its own: the events of its user and of its items from before its moment, and the rows
of users and items that held and were recorded by then. Users, items and events of a world carry the world's label
before their ids, so that one run of the transforms answers for all worlds, and none sees another. Within a world a
user's past is complete, and so is an item's, other people's events included.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import duckdb
import pyarrow as pa

from feature_repo.dataset.declaration import Dataset
from feature_repo.dataset.read import connect
from feature_repo.transforms.build import build_tables, key_of
from training.leaks.probes import Asked, Probe, asked_items, asked_users

END = "\x1f"  # ends a world's label; what follows is the id

# Names with _ before them are no columns of anybody's: a declared name starts with a letter.
_MET = """
    SELECT _label, e.* FROM users_asked a JOIN events e ON e.user_id = a.user_id AND e.timestamp < a._moment
    UNION
    SELECT _label, e.* FROM items_asked a JOIN events e ON e.item_id = a.item_id AND e.timestamp < a._moment"""
# Attributes without a date hold from the first event of the log on, so that event has a world of its own.
_LOG = f"""
    SELECT * EXCLUDE _label
        REPLACE (_label || event_id AS event_id, _label || user_id AS user_id, _label || item_id AS item_id)
    FROM (FROM met UNION ALL SELECT 'first{END}', * FROM (FROM events ORDER BY timestamp LIMIT 1))
    ORDER BY timestamp, event_id"""
_ENTITIES = {
    "user_id": "FROM users_asked",
    "item_id": """
        SELECT _label, item_id, _moment FROM items_asked
        UNION SELECT _label, item_id, _moment FROM met JOIN users_asked USING (_label)""",
}


def build_worlds(
    dataset: Dataset, probes: Sequence[Probe], *, events: Path, entities: Mapping[str, Path], folder: Path
) -> None:
    """Run the transforms over the worlds of all probes into `folder`.

    `events` is the clean log; `entities` names the rows of users and of items by key, files that need not be there.
    """
    connection = connect()
    connection.read_parquet(str(events)).create_view("events")
    connection.register("users_asked", _as_table(asked_users(probes), "user_id"))
    connection.register("items_asked", _as_table(asked_items(probes), "item_id"))
    connection.execute(f"CREATE TEMP TABLE met AS {_MET}")
    rows = {key: _known_rows(connection, key, path) if path.exists() else None for key, path in entities.items()}
    log = connection.sql(_LOG).to_arrow_table()
    build_tables(dataset, log, users=rows["user_id"], items=rows["item_id"], folder=folder)


def newest_rows(folder: Path, asked: Asked, key: str) -> dict[str, pa.Table]:
    """For each view of `key` in `folder` the row of each of `asked`, in this order: the newest, or nulls."""
    connection = connect()
    connection.register("asked", _as_table(asked, key))
    views = sorted(path for path in folder.glob("*.parquet") if key_of(path.stem) == key)
    return {path.stem: _newest(connection, path, key) for path in views}


def without_label(value: object, world: int) -> object:
    """An id as it stands in the log; any other value as it is."""
    return value.removeprefix(_label(world)) if isinstance(value, str) else value


def _label(world: int) -> str:
    return f"{world}{END}"


def _as_table(asked: Asked, key: str) -> pa.Table:
    return pa.table(
        {
            "_place": pa.array(range(len(asked.ids)), pa.int64()),
            "_label": pa.array([_label(world) for world in asked.worlds], pa.string()),
            key: pa.array(asked.ids, pa.string()),
            "_moment": pa.array(asked.moments_us, pa.int64()).cast(pa.timestamp("us", "UTC")),
        }
    )


def _known_rows(connection: duckdb.DuckDBPyConnection, key: str, path: Path) -> pa.Table:
    """The rows of users or items that each world may know, under the world's label."""
    rows = connection.read_parquet(str(path))
    rows.create_view(f"rows_of_{key}")
    dates = [name for name in ("valid_from", "recorded") if name in rows.columns]
    known = " AND ".join(f"coalesce(r.{name} <= a._moment, true)" for name in dates)
    return connection.sql(
        f"SELECT r.* REPLACE (_label || r.{key} AS {key}) FROM ({_ENTITIES[key]}) a JOIN rows_of_{key} r "
        f"ON r.{key} = a.{key} AND {known}"
    ).to_arrow_table()


def _newest(connection: duckdb.DuckDBPyConnection, path: Path, key: str) -> pa.Table:
    view = connection.read_parquet(str(path))
    view.create_view("view", replace=True)
    dates = [name for name in ("event_timestamp", "created_timestamp") if name in view.columns]
    order = ", ".join(f"v.{name} DESC" for name in dates)
    return connection.sql(
        f"SELECT v.* EXCLUDE ({', '.join([key, *dates])}) FROM asked a LEFT JOIN view v "
        f"ON v.{key} = a._label || a.{key} AND v.event_timestamp <= a._moment "
        f"QUALIFY row_number() OVER (PARTITION BY a._place ORDER BY {order}) = 1 ORDER BY a._place"
    ).to_arrow_table()
