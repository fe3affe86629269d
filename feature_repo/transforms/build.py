"""Build every feature table of a data set from its valid events and its entity tables."""

from pathlib import Path

import ibis
import pyarrow as pa
import pyarrow.compute as pc
from ibis.expr.types import Table

from feature_repo.core.errors import DatasetError
from feature_repo.dataset.declaration import Dataset
from feature_repo.transforms.attributes import dated_attributes
from feature_repo.transforms.buckets import activity_state
from feature_repo.transforms.item_sequence import HISTORY_ITEMS, SEEN_ITEMS, item_sequence
from feature_repo.transforms.moments import with_microseconds


def build_tables(
    dataset: Dataset, events: pa.Table, *, users: pa.Table | None, items: pa.Table | None, folder: Path
) -> None:
    """Write `folder`/<view>.parquet for each feature view that the data set has, sorted by key and time."""
    folder.mkdir(parents=True, exist_ok=True)
    connection = ibis.duckdb.connect()
    connection.raw_sql("SET TimeZone = 'UTC'")
    for view, table in feature_tables(dataset, events=events, users=users, items=items).items():
        key = "item_id" if view.startswith("item_") else "user_id"
        connection.to_parquet(table.order_by([key, "event_timestamp"]), folder / f"{view}.parquet")


def feature_tables(
    dataset: Dataset, *, events: pa.Table, users: pa.Table | None, items: pa.Table | None
) -> dict[str, Table]:
    """The feature tables as expressions over `events`; nothing runs until one of them is read."""
    log = ibis.memtable(with_microseconds(events))
    positive = [kind for kind, weight in dataset.weights.items() if weight > 0]
    if not positive:
        raise DatasetError(f"weights: at least one event type needs a weight above 0; got {dataset.weights}")
    liked = log.filter(log.event_type.isin(positive))
    tables = {
        "user_activity": activity_state(log, key="user_id", prefix="user"),
        "user_history": item_sequence(liked, limit=HISTORY_ITEMS, name="history", with_times=True),
        "item_popularity": activity_state(liked, key="item_id", prefix="item"),
    }
    if not dataset.repeat_consumption:
        tables["user_seen"] = item_sequence(log, limit=SEEN_ITEMS, name="seen", with_times=False)
    first_event = pc.min(events["timestamp"]).as_py()
    for view, key, declared, rows in (
        ("user_profile", "user_id", dataset.users, users),
        ("item_metadata", "item_id", dataset.items, items),
    ):
        if declared is not None and rows is not None:
            tables[view] = dated_attributes(
                ibis.memtable(rows), key=key, attributes=declared.attributes, first_event=first_event
            )
    return tables
