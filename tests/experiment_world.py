"""A request log and events of an experiment in a workspace, with known rates of clicks."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from feature_repo.core.workspace import Workspace
from feature_repo.dataset.received import RECEIVED_SCHEMA
from feature_repo.dataset.request_log_schema import REQUEST_LOG_SCHEMA

STARTS = datetime(2026, 3, 1, tzinfo=UTC)
ENDS = STARTS + timedelta(days=14)
AFTER = ENDS + timedelta(days=2)
DECLARED: dict[str, Any] = {
    "name": "newer-towers",
    "hypothesis": "The newer towers get more clicks per impression.",
    "layer": "ranking",
    "variants": {"champion": 0.5, "challenger": 0.5},
    "control": "champion",
    "starts": STARTS.isoformat(),
    "ends": ENDS.isoformat(),
    "rewarded": ["click"],
    "primary": {"metric": "click_rate", "minimum_effect": 0.5, "mean": 0.2, "standard_deviation": 0.2},
}


def log_rows(rates: Mapping[str, float], *, users: int, requests: int = 3) -> pa.Table:
    """Every user asks `requests` times and is shown two items; `rates` are the variants' chances of a click on each."""
    rows = []
    for number in range(users):
        variant = list(rates)[number % len(rates)]
        rows += [
            request(f"user-{number}", variant, f"{number}-{n}", STARTS + timedelta(hours=n)) for n in range(requests)
        ]
    return pa.Table.from_pylist(rows, schema=REQUEST_LOG_SCHEMA)


def request(user: str, variant: str, request_id: str, moment: datetime, **more: Any) -> dict[str, Any]:
    return {
        "request_id": request_id,
        "received_at": moment,
        "moment": moment,
        "user_id": user,
        "variant": variant,
        "model_version": "7" if variant == "challenger" else "6",
        "degraded": [],
        "k": 2,
        "slate": ["x", "y"],
        "propensities": [1.0, 1.0],
        "candidates": [],
        "sources": [],
        "scores": [],
        "features": [],
        "feature_names": [],
        **more,
    }


def clicks_on(log: pa.Table, rates: Mapping[str, float], rng: np.random.Generator) -> pa.Table:
    """Each item is clicked with its variant's rate, a minute after its request."""
    rows = []
    for row in log.select(["request_id", "variant", "slate", "moment"]).to_pylist():
        for item in row["slate"]:
            if rng.random() < rates[row["variant"]]:
                rows.append(click(row["request_id"], item, row["moment"] + timedelta(minutes=1)))
    return pa.Table.from_pylist(rows, schema=RECEIVED_SCHEMA)


def click(request_id: str, item: str, moment: datetime) -> dict[str, Any]:
    return {
        "event_id": f"{request_id}-{item}",
        "user_id": "somebody",
        "item_id": item,
        "timestamp": moment,
        "event_type": "click",
        "value": 1.0,
        "request_id": request_id,
        "context": [],
    }


def write_world(folder: Path, log: pa.Table, events: pa.Table) -> Workspace:
    """The workspace that holds this log and these events."""
    workspace = Workspace(root=folder / "build", store=folder / "build" / "store")
    for place, table in ((workspace.request_log, log), (workspace.received, events)):
        place.mkdir(parents=True)
        pq.write_table(table, place / "part.parquet")
    return workspace
