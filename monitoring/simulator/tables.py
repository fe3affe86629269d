"""Arrays of a simulated log as Arrow tables: the unified events, in the columns and the order of their schema."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from monitoring.simulator.shift import Kind
from monitoring.simulator.streams import stream
from monitoring.simulator.world import World

if TYPE_CHECKING:
    from monitoring.simulator.log import Actions

Array = np.ndarray[Any, Any]

DAY_US = 86_400_000_000
DEVICES = ("phone", "desk", "tablet")
TYPE_NAMES = pa.array(["view", "purchase", "hide"])
TYPE_SCORES = pa.array([1.0, 3.0, -1.0])
_PROMPT_SECONDS = 5.0  # until an event is known, where nothing is late


def numbered(prefix: str, numbers: Array) -> pa.Array:
    """Ids as text: a prefix and a number; null where the number is negative."""
    texts = pc.binary_join_element_wise(prefix, pc.cast(pa.array(numbers), pa.string()), "")
    return pc.if_else(pa.array(numbers >= 0), texts, pa.scalar(None, pa.string()))


def moments_us(world: World, days: Array) -> Array:
    """Days since the start as int64 microseconds since 1970, UTC."""
    start = round(world.settings.start.timestamp()) * 1_000_000
    return np.asarray(start + np.round(days * DAY_US).astype(np.int64))


def event_table(world: World, done: "Actions", *, seed: int) -> pa.Table:
    """The unified events, valid by `feature_repo/dataset/event_schema.py`; `done` in time order."""
    count = len(done.user)
    position = pa.array(done.position.astype(np.int32), mask=done.position < 0)
    users = users_of(world, int(done.user.max()) + 1 if count else 0)
    return pa.table(
        {
            "event_id": numbered("e", np.arange(count)),
            "user_id": users["user_id"].combine_chunks().take(pa.array(done.user)),
            "item_id": numbered("i", done.item),
            "timestamp": pa.array(moments_us(world, done.day)).cast(pa.timestamp("us", "UTC")),
            "event_type": TYPE_NAMES.take(pa.array(done.kind)),
            "value": _values(world, done, seed),
            "request_id": numbered("r", done.request),
            "position": position,
            "consent": users["consent"].combine_chunks().take(pa.array(done.user)),
            "device": users["device"].combine_chunks().take(pa.array(done.user)),
            "score": TYPE_SCORES.take(pa.array(done.kind)),
        }
    )


def users_of(world: World, count: int) -> pa.Table:
    """user_id, consent and device of the first `count` users; those beyond the people are bots."""
    rng, people = stream(world.seed, "devices"), len(world.people)
    agreed = rng.random(people) < world.settings.consent
    device = rng.choice(len(DEVICES), p=(0.55, 0.35, 0.1), size=people)
    bots = max(count - people, 0)
    return pa.table(
        {
            "user_id": numbered("u", np.arange(people + bots)),
            "consent": pa.array(np.concatenate([agreed, np.ones(bots, bool)])),
            "device": pa.array(DEVICES).take(pa.array(np.concatenate([device, np.ones(bots, int)]))),
        }
    )


def arrivals(world: World, done: "Actions", *, seed: int) -> pa.Array:
    """When each event was known: seconds after it happened, or days where it was late."""
    rng, count = stream(seed, "arrivals"), len(done.day)
    behind = rng.uniform(0, _PROMPT_SECONDS / 86_400, size=count)
    for number, shift in enumerate(world.shifts(Kind.LATE)):
        late_rng = stream(seed, "late", number)
        late = (late_rng.random(count) < shift.size) & (done.day >= shift.from_day)
        behind = np.where(late, late_rng.uniform(1, 3, size=count), behind)
    return pa.array(moments_us(world, done.day + behind)).cast(pa.timestamp("us", "UTC"))


def _values(world: World, done: "Actions", seed: int) -> pa.Array:
    """What was paid; null for what is no purchase, and where the column is broken."""
    missing = np.isnan(done.value)
    for number, shift in enumerate(world.shifts(Kind.BROKEN_COLUMN)):
        lost = stream(seed, "lost values", number).random(len(missing)) < shift.size
        missing = missing | (lost & (done.day >= shift.from_day))
    return pa.array(np.where(missing, 0.0, done.value), mask=missing)
