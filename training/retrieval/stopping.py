"""What happens between two epochs: NDCG on what is held out, the best weights kept, hard negatives looked up anew."""

from typing import Any

import numpy as np

from training.retrieval.held_out import ndcg_of
from training.retrieval.softmax import NOT_THERE
from training.retrieval.tensorflow_quiet import tf
from training.retrieval.training_sets import Requests, TrainingSet
from training.settings import TwoTowerSettings

Array = np.ndarray[Any, Any]

SEARCH_ROWS = 1024  # requests whose whole catalogue is scored at once


class BestEpoch(tf.keras.callbacks.Callback):  # type: ignore[misc]
    """Adds `validation_ndcg` to an epoch's logs, stops after `patience` epochs without a better one, restores it."""

    def __init__(self, examples: TrainingSet, settings: TwoTowerSettings) -> None:
        super().__init__()
        self.held, self.items, self.settings = examples.held, examples.items, settings
        self.score: float | None = None
        self.epoch = 0
        self.weights: list[Array] = []

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        if self.held is None:
            return
        scores = all_scores(self.model, self.held.queries, self.items)
        found = ndcg_of(scores, self.held, spare_met=self.settings.spare_met)
        logs["validation_ndcg"] = found
        if self.score is None or found > self.score:
            self.score, self.epoch, self.weights = found, epoch, self.model.get_weights()
        elif epoch - self.epoch >= self.settings.patience:
            self.model.stop_training = True

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:  # noqa: ARG002 - the name is Keras'
        if self.weights:
            self.model.set_weights(self.weights)


class HardNegatives(tf.keras.callbacks.Callback):  # type: ignore[misc]
    """Every `hard_refresh` epochs, the items that the towers score highest and that are no positives."""

    def __init__(self, examples: TrainingSet, settings: TwoTowerSettings) -> None:
        super().__init__()
        self.examples, self.settings = examples, settings

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:  # noqa: ARG002
        # Before the first epoch all vectors are noise, and so would be what they find.
        if epoch == 0 or epoch % self.settings.hard_refresh or not isinstance(self.examples, Requests):
            return
        requests, count = len(self.examples), self.settings.hard_negatives
        found = np.full((requests, count), NOT_THERE, np.int64)
        for at in range(0, requests, SEARCH_ROWS):
            part = np.arange(at, min(at + SEARCH_ROWS, requests))
            queries = {name: values[part] for name, values in self.examples.queries.items()}
            scores = all_scores(self.model, queries, self.examples.items)
            found[part] = hardest(scores, *self.examples.positives_of(part), count)
        self.model.hard.assign(found)


def hardest(scores: Array, rows: Array, positives: Array, count: int) -> Array:
    """The `count` highest columns of `scores` [q, m] that are no positives (`rows`, `positives` [n]); int64 [q, count].

    NOT_THERE fills up where a request has fewer.
    """
    scores = scores.copy()
    scores[rows, positives] = -np.inf
    size = min(count, scores.shape[1])
    best = np.argpartition(-scores, size - 1, axis=1)[:, :size]
    best = np.where(np.isneginf(np.take_along_axis(scores, best, axis=1)), NOT_THERE, best)
    return np.pad(best, ((0, 0), (0, count - size)), constant_values=NOT_THERE)


def all_scores(model: tf.keras.Model, queries: dict[str, Array], items: dict[str, Array]) -> Array:
    """Cosines [q, m] of queries and items."""
    cosines: Array = tf.matmul(model.query_tower(queries), model.item_tower(items), transpose_b=True).numpy()
    return cosines
