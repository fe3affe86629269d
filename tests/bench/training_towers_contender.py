"""`python -m bench.training_towers_contender ours|tutorial|stream [PATH]`: one way of training two towers.

`ours` and `tutorial` learn from the same requests: a user, the last items, the item that was next. `tutorial` is what
the tutorials of TensorFlow Recommenders build: text ids looked up inside the model, rows one by one through a shuffle
and a cache, a mean of the history, `tfrs.tasks.Retrieval` over the batch. Its metrics are off in training.
"""

import json
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from bench.contender import report
from training.retrieval.row_groups import RowGroups, write_requests
from training.retrieval.tensorflow_quiet import tf, tfrs
from training.retrieval.towers import Sizes
from training.retrieval.training_sets import Requests
from training.retrieval.two_tower import build_towers, train
from training.settings import TwoTowerSettings

USERS, ITEMS, HISTORY, DIMENSION = 6_000, 3_000, 20, 32
REQUESTS, EPOCHS, BATCH = 200_000, 3, 4_096
LARGE_REQUESTS, LARGE_HISTORY, LARGE_ITEMS, GROUP = 500_000, 100, 300, 5_000
LARGE_ROW_BYTES = 8 * (LARGE_HISTORY + 3)  # history, user, positive, start

SETTINGS = TwoTowerSettings(
    dimension=DIMENSION, hidden=DIMENSION, heads=1, epochs=EPOCHS, batch_size=BATCH, held_share=0.0
)
SIZES = Sizes(users=USERS + 1, items=ITEMS + 1)


def requests(count: int, history: int, rng: np.random.Generator, items: int = ITEMS) -> Requests:
    """A user, a history of items, popular ones more often, and one positive each."""
    popular = (items * rng.random((count, history + 1)) ** 3).astype(np.int64)
    queries = {"user_id": rng.integers(1, USERS + 1, count), "history": popular[:, 1:] + 1}
    return Requests(queries, np.arange(count + 1), popular[:, 0], {"item_id": np.arange(1, items + 1)})


def ours(data: Requests) -> int:
    train(build_towers(SIZES, SETTINGS), data, settings=SETTINGS, seed=1, on_epoch=lambda _number, _logs: None)
    return REQUESTS * EPOCHS


class Tutorial(tfrs.Model):  # type: ignore[misc]
    """User and item looked up as text; the query is a hidden layer over the user and the mean of the history."""

    def __init__(self, users: list[str], items: list[str]) -> None:
        super().__init__()
        layers = tf.keras.layers
        self.user = tf.keras.Sequential(
            [layers.StringLookup(vocabulary=users, mask_token=None), layers.Embedding(len(users) + 1, DIMENSION)]
        )
        self.item = tf.keras.Sequential(
            [layers.StringLookup(vocabulary=items, mask_token=None), layers.Embedding(len(items) + 1, DIMENSION)]
        )
        self.mean = layers.GlobalAveragePooling1D()
        self.hidden = tf.keras.Sequential([layers.Dense(DIMENSION, activation="relu"), layers.Dense(DIMENSION)])
        self.task = tfrs.tasks.Retrieval()

    def compute_loss(self, features: dict[str, Any], training: bool = False) -> Any:
        history = self.mean(self.item(features["history"]))
        query = self.hidden(tf.concat([self.user(features["user_id"]), history], axis=1))
        return self.task(query, self.item(features["item_id"]), compute_metrics=not training)


def tutorial(columns: dict[str, Any], users: list[str], items: list[str]) -> int:
    dataset = tf.data.Dataset.from_tensor_slices(columns)
    batches = dataset.shuffle(100_000, seed=1, reshuffle_each_iteration=False).batch(BATCH).cache()
    model = Tutorial(users, items)
    model.compile(optimizer=tf.keras.optimizers.Adagrad(0.1))
    model.fit(batches, epochs=EPOCHS, verbose=0)
    return REQUESTS * EPOCHS


def as_text(data: Requests) -> tuple[dict[str, Any], list[str], list[str]]:
    users, items = (np.array([str(n) for n in range(count)]) for count in (USERS, ITEMS))
    columns = {
        "user_id": users[data.queries["user_id"] - 1],
        "history": items[data.queries["history"] - 1],
        "item_id": items[data.positives],
    }
    return columns, users.tolist(), items.tolist()


def stream(path: Path) -> None:
    """Train an epoch from `path`; prints what the process grew by beyond what it takes for one row group."""
    rng = np.random.default_rng(1)
    once = SETTINGS.model_copy(update={"epochs": 1, "batch_size": 1_024})
    small = path.with_name("small.parquet")
    write_requests([requests(GROUP, LARGE_HISTORY, rng, LARGE_ITEMS)], small)
    write_requests(parts(rng), path)
    peaks = []
    started = time.perf_counter()
    for file in (small, path):
        groups = RowGroups(file, {"item_id": np.arange(1, LARGE_ITEMS + 1)})
        train(build_towers(SIZES, once), groups, settings=once, seed=1, on_epoch=lambda _number, _logs: None)
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    seconds = time.perf_counter() - started
    found = {"seconds": seconds, "peak_mb": peaks[1] - peaks[0], "rows": LARGE_REQUESTS}
    sys.stdout.write(json.dumps(found) + "\n")


def parts(rng: np.random.Generator) -> Iterator[Requests]:
    for _ in range(LARGE_REQUESTS // GROUP):
        yield requests(GROUP, LARGE_HISTORY, rng, LARGE_ITEMS)


def main(kind: str, *path: str) -> None:
    if kind == "stream":
        stream(Path(path[0]))
        return
    data = requests(REQUESTS, HISTORY, np.random.default_rng(1))
    if kind == "ours":
        report(lambda: ours(data), lambda rows: rows)
    else:
        columns, users, items = as_text(data)
        report(lambda: tutorial(columns, users, items), lambda rows: rows)


if __name__ == "__main__":
    main(*sys.argv[1:])
