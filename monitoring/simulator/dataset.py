"""A simulated log as a team's own tables: events, users, items, and the dataset.yaml that maps them."""

from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from monitoring.simulator.answered import Slates
from monitoring.simulator.log import Log
from monitoring.simulator.names import brand_name, category_name, titles
from monitoring.simulator.tables import moments_us, numbered, users_of
from monitoring.simulator.world import CITIES, World

DECLARED = """\
# A simulated shop. The true click probability of every slate is known: see slates.parquet.
name: simulated
events:
  path: events.parquet
  columns: {event_id: event_id, user_id: user_id, item_id: item_id, timestamp: timestamp, event_type: event_type,
    value: value, request_id: request_id, position: position, consent: consent}
  context: [device]
users: {path: users.parquet, key: user_id, categorical: [city], numeric: [age]}
items: {path: items.parquet, key: item_id, categorical: [category, brand], text: [title], numeric: [price],
  valid_from: valid_from}
weights: {view: 1, purchase: 3, hide: -1}
repeat_consumption: true
"""


def write_dataset(world: World, log: Log, folder: Path, *, as_of: datetime | None = None) -> Path:
    """Write the tables and dataset.yaml into `folder`; returns the path of dataset.yaml.

    `as_of` leaves out what had not arrived by then, so that the same log can be read early, and again complete.
    """
    folder.mkdir(parents=True, exist_ok=True)
    events = log.events.drop_columns(["score"]).append_column("arrived_at", log.arrived)
    if as_of is not None:
        events = events.filter(pc.less_equal(events["arrived_at"], pa.scalar(as_of, pa.timestamp("us", "UTC"))))
    pq.write_table(events, folder / "events.parquet")
    pq.write_table(users_table(world), folder / "users.parquet")
    pq.write_table(items_table(world), folder / "items.parquet")
    shown = slates_table(world, log.slates)
    pq.write_table(
        shown.filter(pc.less_equal(shown["moment"], pc.max(log.events["timestamp"]))), folder / "slates.parquet"
    )
    path = folder / "dataset.yaml"
    path.write_text(DECLARED, encoding="utf-8")
    return path


def users_table(world: World) -> pa.Table:
    """user_id, age in years, city; bots have no row."""
    people = world.people
    age = np.clip(np.round(40 + 12 * people.age), 16, 95)
    ids = users_of(world, len(people))["user_id"]
    return pa.table({"user_id": ids, "age": age, "city": pa.array(CITIES).take(pa.array(people.city))})


def items_table(world: World) -> pa.Table:
    """item_id, category, brand, title, price, and `valid_from`, the day from which the item is there."""
    items, settings = world.items, world.settings
    kinds = pa.array([category_name(number) for number in range(settings.categories)])
    makers = pa.array([brand_name(number) for number in range(settings.brands)])
    return pa.table(
        {
            "item_id": numbered("i", np.arange(len(items))),
            "category": kinds.take(pa.array(items.category)),
            "brand": makers.take(pa.array(items.brand)),
            "title": pa.array(titles(world)),
            "price": items.price,
            "valid_from": pa.array(moments_us(world, items.birth)).cast(pa.timestamp("us", "UTC")),
        }
    )


def slates_table(world: World, shown: Slates) -> pa.Table:
    """request_id, user_id, moment, slate (item ids, null where empty), and the true click probability of each place."""
    requests, places = shown.items.shape
    borders = pa.array(np.arange(requests + 1, dtype=np.int32) * places)
    names = numbered("i", np.arange(len(world.items)))
    there = shown.items.ravel()
    slate = names.take(pa.array(np.maximum(there, 0), mask=there < 0))
    return pa.table(
        {
            "request_id": numbered("r", np.arange(requests)),
            "user_id": numbered("u", shown.user),
            "moment": pa.array(moments_us(world, shown.day)).cast(pa.timestamp("us", "UTC")),
            "slate": pa.ListArray.from_arrays(borders, slate),
            "click_probabilities": pa.ListArray.from_arrays(
                borders, pa.array(shown.probabilities.ravel().astype(np.float32))
            ),
        }
    )
