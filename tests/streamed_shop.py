"""A shop whose event log ends half way: the other half is for the stream."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import yaml

from feature_repo.core.workspace import Workspace
from feature_repo.dataset.declaration import load_dataset
from feature_repo.dataset.prepare import prepare
from feature_repo.store.apply import apply_definitions
from feature_repo.store.materialize import materialize
from feature_repo.store.open import quiet_feast
from feature_repo.stream.bus import Message
from feature_repo.stream.online_views import STREAMED
from feature_repo.stream.run import Limits, stream

USERS, ITEMS, EVENTS = 12, 40, 1_200
FIRST = int(datetime(2026, 3, 1, tzinfo=UTC).timestamp())
NOW = datetime(2026, 11, 1, tzinfo=UTC)
WEIGHTS = {"view": 1, "buy": 3, "hide": -2}


@dataclass(frozen=True)
class StreamedShop:
    """`early` is what the workspace's event log holds, `late` what comes after it; both in order of time."""

    folder: Path
    workspace: Workspace
    early: list[dict[str, Any]]
    late: list[dict[str, Any]]
    repeat: bool

    def messages(self) -> list[Message]:
        return [Message(event["user_id"], json.dumps(event).encode()) for event in self.late]

    def expected(self) -> dict[str, dict[str, Any]]:
        """Raw features of each user by name, as the batch transforms make them of early and late events."""
        whole = Workspace(root=self.folder / "whole", store=self.folder / "whole" / "store")
        prepare(load_dataset(str(_declare(self.folder / "all", self.early + self.late, self.repeat))), whole, now=NOW)
        rows: dict[str, dict[str, Any]] = {}
        for view in STREAMED:
            path = whole.tables / f"{view}.parquet"
            for row in pq.read_table(path).to_pylist() if path.exists() else ():
                rows.setdefault(row["user_id"], {}).update(row)  # sorted by time: the last one stays
        return {user: {n: v for n, v in row.items() if n not in _KEYS} for user, row in rows.items()}


_KEYS = ("user_id", "event_timestamp")


def consume_until_killed(workspace: Workspace) -> None:
    """What a process of its own does."""
    quiet_feast()
    stream(workspace, Limits(batch=20), show=print)


def build_shop(folder: Path, *, repeat: bool) -> StreamedShop:
    """Prepare, apply and materialize the first half; ONLINE_STORE and REDIS_URL say where."""
    workspace = Workspace(root=folder / "build", store=folder / "build" / "store")
    events = _events(np.random.default_rng(11))
    middle = events[len(events) // 2]["timestamp"]
    early = [event for event in events if event["timestamp"] < middle]
    prepare(load_dataset(str(_declare(folder / "half", early, repeat))), workspace, now=NOW)
    apply_definitions(workspace)
    materialize(workspace, until=NOW)
    return StreamedShop(folder, workspace, early, [e for e in events if e["timestamp"] >= middle], repeat)


def _events(rng: np.random.Generator) -> list[dict[str, Any]]:
    # Steps of zero are moments that several events share; the last two users come late.
    seconds = FIRST + np.cumsum(rng.integers(0, 20_000, size=EVENTS) * (rng.random(EVENTS) < 0.7))
    half = np.arange(EVENTS) < EVENTS // 2
    users = np.where(half, rng.integers(USERS - 2, size=EVENTS), rng.integers(USERS, size=EVENTS))
    return [
        {
            "event_id": f"e{n}",
            "user_id": f"u{user}",
            "item_id": f"i{rng.integers(ITEMS)}",
            "timestamp": datetime.fromtimestamp(int(second), UTC).isoformat(),
            "event_type": str(rng.choice(list(WEIGHTS), p=[0.7, 0.2, 0.1])),
            "value": None if rng.random() < 0.2 else round(float(rng.random() * 30), 2),
        }
        for n, (second, user) in enumerate(zip(seconds, users, strict=True))
    ]


def _declare(folder: Path, events: list[dict[str, Any]], repeat: bool) -> Path:
    folder.mkdir(parents=True)
    columns = ("event_id", "user_id", "item_id", "timestamp", "event_type", "value")
    lines = (",".join("" if event[c] is None else str(event[c]) for c in columns) for event in events)
    (folder / "events.csv").write_text("\n".join([",".join(columns), *lines]) + "\n")
    things = (f"i{n},{'' if n % 5 == 0 else f'b{n % 3}'},{f't{n % 4}|new' if n % 7 else ''}" for n in range(ITEMS))
    (folder / "items.csv").write_text("\n".join(["item,brand,tags", *things]) + "\n")
    declared = {
        "name": "streamed-shop",
        "events": {"path": "events.csv", "columns": {name: name for name in columns}},
        "items": {"path": "items.csv", "key": "item", "categorical": ["brand"], "multi": ["tags"]},
        "weights": WEIGHTS,
        "repeat_consumption": repeat,
    }
    (folder / "dataset.yaml").write_text(yaml.safe_dump(declared))
    return folder / "dataset.yaml"
