"""Build every feature table of a data set from its valid events and its entity tables."""

from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from ibis.expr.types import Table

from feature_repo.core.errors import DatasetError
from feature_repo.dataset.declaration import Dataset
from feature_repo.transforms.activity import activity_state
from feature_repo.transforms.attributes import dated_attributes
from feature_repo.transforms.conversion import item_conversion
from feature_repo.transforms.engine import engine_name, open_engine
from feature_repo.transforms.item_value import item_value
from feature_repo.transforms.moments import as_log
from feature_repo.transforms.reach import item_reach
from feature_repo.transforms.sequences import last_of_user
from feature_repo.transforms.state import (
    HIDDEN_ITEMS,
    HISTORY_ITEMS,
    SEEN_ITEMS,
    funnel,
    hiding_types,
    taste_attributes,
)
from feature_repo.transforms.tastes import tastes


def build_tables(
    dataset: Dataset, events: pa.Table, *, users: pa.Table | None, items: pa.Table | None, folder: Path
) -> None:
    """Write `folder`/<view>.parquet for each feature view that the data set has, sorted by key and time."""
    folder.mkdir(parents=True, exist_ok=True)
    with open_engine(engine_name(), folder / ".engine") as engine:
        tables = feature_tables(
            dataset,
            log=engine.table(as_log(events)),
            users=None if users is None else engine.table(users),
            items=None if items is None else engine.table(items),
            first_event=pc.min(events["timestamp"]).as_py(),
        )
        for view, table in tables.items():
            order = [key_of(view), "event_timestamp", *({"created_timestamp"} & set(table.columns))]
            engine.write(table.order_by(order), folder / f"{view}.parquet")


def key_of(view: str) -> str:
    return "item_id" if view.startswith("item_") else "user_id"


def feature_tables(
    dataset: Dataset, *, log: Table, users: Table | None, items: Table | None, first_event: datetime
) -> dict[str, Table]:
    """The feature tables as expressions over `log` (see `as_log`); nothing runs until one of them is read."""
    positive = [kind for kind, weight in dataset.weights.items() if weight > 0]
    if not positive:
        raise DatasetError(f"weights: at least one event type needs a weight above 0; got {dataset.weights}")
    liked = log.filter(log.event_type.isin(positive))
    history = {"history_items": "item_id", "history_times": "moment_us"}
    tables = {
        "user_activity": activity_state(log, key="user_id", prefix="user", with_amounts=True),
        "user_history": last_of_user(liked, limit=HISTORY_ITEMS, columns=history),
        "item_popularity": activity_state(liked, key="item_id", prefix="item"),
        "item_reach": item_reach(liked),
    }
    tables |= _not_to_recommend(dataset, log)
    if "value" in dataset.events.columns:
        tables["item_value"] = item_value(liked)
    if funnel(dataset):
        tables["item_conversion"] = item_conversion(liked, funnel(dataset))
    for view, key, declared, rows in (
        ("user_profile", "user_id", dataset.users, users),
        ("item_metadata", "item_id", dataset.items, items),
    ):
        if declared is not None and rows is not None and declared.attributes:
            tables[view] = dated_attributes(rows, key=key, attributes=declared.attributes, first_event=first_event)
    if "item_metadata" in tables and dataset.items is not None and taste_attributes(dataset.items):
        tables["user_tastes"] = tastes(liked, tables["item_metadata"], dataset.items)
    return tables


def _not_to_recommend(dataset: Dataset, log: Table) -> dict[str, Table]:
    """What filters know of a user: items consumed, where they may not be repeated, and items not wanted."""
    tables = {}
    if not dataset.repeat_consumption:
        tables["user_seen"] = last_of_user(log, limit=SEEN_ITEMS, columns={"seen_items": "item_id"})
    if hiding_types(dataset):
        hiding = log.filter(log.event_type.isin(hiding_types(dataset)))
        tables["user_hidden"] = last_of_user(hiding, limit=HIDDEN_ITEMS, columns={"hidden_items": "item_id"})
    return tables
