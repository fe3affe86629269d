"""From an event's publication to its readable row: `python -m bench.stream_probe ROOT FIRST COUNT RATE`.

Publishes RATE events a second, whatever the consumer does, and times each one from the moment it was due until Feast
reads a row of its user that counts it.
"""

import json
import sys
import time
from collections import deque

import numpy as np

from bench.stream_world import held_out, workspace_at
from feature_repo.core.workspace import Workspace
from feature_repo.store.open import open_store, quiet_feast
from feature_repo.stream.connect import open_bus

COUNT = "user_event_count"
PATIENCE = 30  # seconds after the last event


def probe(workspace: Workspace, first: int, count: int, rate: float) -> list[float]:
    """Seconds of each event; infinite for one that did not arrive."""
    store, bus, messages = open_store(workspace), open_bus(workspace), held_out(workspace, first, count)

    def counts(users: list[str]) -> list[int]:
        rows = [{"user_id": user} for user in users]
        found = store.get_online_features(features=[f"user_activity:{COUNT}"], entity_rows=rows).to_dict()
        return [value or 0 for value in found[COUNT]]

    users = sorted({message.user_id for message in messages})
    expected = dict(zip(users, counts(users), strict=True))
    waiting: dict[str, deque[tuple[int, float]]] = {}
    lags: list[float] = []
    sent, began = 0, time.perf_counter() + 0.5
    while len(lags) < count and time.perf_counter() < began + count / rate + PATIENCE:
        while sent < count and began + sent / rate <= time.perf_counter():
            user = messages[sent].user_id
            bus.publish([messages[sent]])
            expected[user] += 1
            waiting.setdefault(user, deque()).append((expected[user], began + sent / rate))
            sent += 1
        asked = list(waiting)
        now_counted = counts(asked) if asked else []
        now = time.perf_counter()
        for user, counted in zip(asked, now_counted, strict=True):
            while waiting[user] and waiting[user][0][0] <= counted:
                lags.append(now - waiting[user].popleft()[1])
            if not waiting[user]:
                del waiting[user]
        time.sleep(0.005)
    return lags + [float("inf")] * (count - len(lags))


def main(root: str, first: str, count: str, rate: str) -> None:
    quiet_feast()
    lags = probe(workspace_at(root), int(first), int(count), float(rate))
    p50, p99 = np.quantile(lags, [0.5, 0.99], method="higher")
    sys.stdout.write(json.dumps({"p50": float(p50), "p99": float(p99)}) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
