"""Held-out real events, sent as requests in time order.

Every event asks for a slate at its own moment, and the item that the user really chose is looked for in it.
The label of that hit rate is "replay": a replayed click happened without the slate and does not depend on it,
so the rate is shown and never judged.
"""

import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import httpx
import pyarrow.parquet as pq

from feature_repo.core.errors import MissingArtifact
from feature_repo.core.workspace import Workspace
from feature_repo.dataset.prepare import active_dataset
from feature_repo.dataset.split import load_split

SLATE = 10
# Requests between two looks at the clock.
STRIDE = 50


@dataclass(frozen=True)
class PastEvent:
    """What a user chose, when, and in which declared context."""

    user_id: str
    item_id: str
    moment: datetime
    context: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Tally:
    """What came of the requests, seen from the caller: a request without a 200 has failed."""

    requests: int = 0
    failed: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    hits: Counter[str] = field(default_factory=Counter)

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            self.requests + other.requests,
            self.failed + other.failed,
            self.answers + other.answers,
            self.hits + other.hits,
        )

    def hit_rate(self, variant: str) -> float | None:
        """Share of a variant's slates that hold the item of their event."""
        answers = self.answers[variant]
        return self.hits[variant] / answers if answers else None


def held_out_events(workspace: Workspace) -> list[PastEvent]:
    """Events of the window that no version was trained on, in time order."""
    if not workspace.events.exists():
        raise MissingArtifact(f"{workspace.events} is not there: run `make data` first")
    split = load_split(workspace)
    window = [("timestamp", ">=", split.challenger_end), ("timestamp", "<", split.test_end)]
    declared = active_dataset(workspace).events.context
    columns = ["user_id", "item_id", "timestamp", *declared]
    rows = pq.read_table(workspace.events, columns=columns, filters=window).to_pylist()
    return [
        PastEvent(
            user_id=row["user_id"],
            item_id=row["item_id"],
            moment=row["timestamp"],
            context={name: row[name] for name in declared if row[name] is not None},
        )
        for row in rows
    ]


class Replay:
    """Sends events one after another. `pool` decides how many requests are under way at a time."""

    def __init__(self, events: Iterable[PastEvent], *, client: httpx.Client, pool: Executor) -> None:
        self._events: Iterator[PastEvent] = iter(events)
        self._client = client
        self._pool = pool

    def send(self, url: str, count: int, *, seconds: float, tell: Callable[[int], None] = lambda _: None) -> Tally:
        """Send up to `count` events, fewer when the time is used up or the events end; `tell` hears the
        progress.
        """
        deadline = time.monotonic() + seconds
        tally = Tally()
        while tally.requests < count and time.monotonic() < deadline:
            stride = list(itertools.islice(self._events, min(STRIDE, count - tally.requests)))
            if not stride:
                break
            outcomes = self._pool.map(lambda event: ask(self._client, url, event), stride)
            tally = sum(outcomes, tally)
            tell(len(stride))
        return tally


def ask(client: httpx.Client, url: str, event: PastEvent) -> Tally:
    """Ask for the slate of one event."""
    body = {"user_id": event.user_id, "k": SLATE, "context": {**event.context, "timestamp": event.moment.isoformat()}}
    try:
        answer = client.post(f"{url}/recommend", json=body)
    except httpx.HTTPError:
        return Tally(requests=1, failed=1)
    if answer.status_code != 200:
        return Tally(requests=1, failed=1)
    slate: dict[str, Any] = answer.json()
    hit = any(item["item_id"] == event.item_id for item in slate["items"])
    variant = str(slate["variant"])
    return Tally(1, 0, Counter([variant]), Counter([variant] * hit))
