"""A shop of our own: people who like one kind of thing and buy more of it, for a few thousand events."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

PEOPLE, THINGS, EVENTS, KINDS = 60, 90, 4000, 3
DECLARED = """
name: shop
events:
  path: events-*.parquet
  columns: {user_id: person, item_id: thing, timestamp: at, event_type: what, value: paid}
  context: [device]
users: {path: people.csv, key: person, categorical: [city], numeric: [age]}
items: {path: things.csv, key: thing, categorical: [maker], multi: [kinds], text: [title], numeric: [price]}
weights: {view: 1, buy: 3, hide: -2}
repeat_consumption: true
"""


def write_shop(folder: Path) -> Path:
    """Write tables and dataset.yaml into `folder`; returns the path of dataset.yaml."""
    rng = np.random.default_rng(3)
    person = rng.integers(PEOPLE, size=EVENTS)
    same_kind = rng.random(EVENTS) < 0.85
    kind = np.where(same_kind, person % KINDS, rng.integers(KINDS, size=EVENTS))
    thing = kind + KINDS * np.minimum(rng.geometric(0.12, size=EVENTS), THINGS // KINDS) - KINDS
    # Steps of zero are moments that several events share.
    seconds = np.cumsum(rng.integers(0, 1800, size=EVENTS) * (rng.random(EVENTS) < 0.8)) + 1_760_000_000
    events = pa.table(
        {
            "person": pa.array([f"p{n}" for n in person]),
            "thing": pa.array([f"t{n}" for n in thing]),
            "at": pa.array(seconds * 1_000_000, pa.int64()).cast(pa.timestamp("us")),
            "what": pa.array(rng.choice(["view", "buy", "hide"], p=[0.7, 0.25, 0.05], size=EVENTS)),
            "paid": pa.array(np.where(rng.random(EVENTS) < 0.2, None, rng.random(EVENTS)), pa.float64()),
            "device": pa.array(rng.choice(["phone", "desk"], size=EVENTS)),
        }
    )
    half = EVENTS // 2
    pq.write_table(events.slice(0, half), folder / "events-1.parquet")
    pq.write_table(events.slice(half), folder / "events-2.parquet")
    people = (f"p{n},{'Rome' if n % 2 else ''},{'' if n % 5 == 0 else 20 + n}" for n in range(PEOPLE))
    (folder / "people.csv").write_text("person,city,age\n" + "\n".join(people) + "\n")
    things = (f"t{n},m{n % 4},k{n % KINDS}|new,Thing {n},{n / 2}" for n in range(THINGS))
    (folder / "things.csv").write_text("thing,maker,kinds,title,price\n" + "\n".join(things) + "\n")
    (folder / "dataset.yaml").write_text(DECLARED)
    return folder / "dataset.yaml"
