"""The two-tower retriever, trained with TensorFlow Recommenders.

Query tower: user id, attributes, activity, the last items met, hour and weekday. Item tower: item id, attributes.
Both end in a unit vector; their cosine, divided by the temperature, is the logit of a softmax over the items of the
batch. Popular items are in a batch more often than their share of true negatives, so log p(item) is subtracted from
each logit (Yi et al., "Sampling-bias-corrected neural modeling for large corpus item recommendations", RecSys 2019).
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from feature_repo.features.columns import Columns
from training.encoder import TOWER_HISTORY, Encoder
from training.retrieval.tensorflow_quiet import tf, tfrs
from training.settings import TwoTowerSettings

Array = np.ndarray[Any, Any]


class Tower(tf.keras.Model):  # type: ignore[misc]
    """Embeds indexes, joins them with numbers, and ends in a unit vector [batch, dimension]."""

    def __init__(self, settings: TwoTowerSettings, categories: list[int], name: str) -> None:
        super().__init__(name=name)
        self.category_embeddings = [tf.keras.layers.Embedding(size, 8) for size in categories]
        self.hidden = tf.keras.layers.Dense(settings.hidden, activation="relu")
        self.output_layer = tf.keras.layers.Dense(settings.dimension)

    def attributes(self, inputs: dict[str, tf.Tensor]) -> list[tf.Tensor]:
        """`categories` [batch, c], `flags` [batch, v], `numbers` [batch, m], `text` [batch, t], where they are."""
        embedded = [e(inputs["categories"][:, at]) for at, e in enumerate(self.category_embeddings)]
        return [*embedded, *(inputs[name] for name in ("flags", "numbers", "text") if name in inputs)]

    def finish(self, parts: list[tf.Tensor], residual: tf.Tensor) -> tf.Tensor:
        """A hidden layer over `parts`, added to `residual` [batch, dimension], normalised."""
        joined = self.output_layer(self.hidden(tf.concat(parts, axis=1)))
        return tf.math.l2_normalize(joined + residual, axis=1)


class ItemTower(Tower):
    """Item id and attributes to a unit vector."""

    def __init__(self, settings: TwoTowerSettings, items: int, categories: list[int]) -> None:
        super().__init__(settings, categories, "item_tower")
        self.items = tf.keras.layers.Embedding(items, settings.dimension)

    def call(self, inputs: dict[str, tf.Tensor]) -> tf.Tensor:
        """inputs["item_id"] [batch] and attributes -> [batch, dimension]"""
        item = self.items(inputs["item_id"])
        return self.finish([item, *self.attributes(inputs)], item)


class QueryTower(Tower):
    """User id, attributes, activity, history and time to a unit vector; shares the item tower's id embeddings."""

    def __init__(
        self,
        settings: TwoTowerSettings,
        users: int,
        categories: list[int],
        contexts: list[int],
        items: tf.keras.layers.Embedding,
    ) -> None:
        super().__init__(settings, categories, "query_tower")
        self.items = items
        self.users = tf.keras.layers.Embedding(users, 16)
        self.hours = tf.keras.layers.Embedding(24, 4)
        self.weekdays = tf.keras.layers.Embedding(7, 4)
        self.context_embeddings = [tf.keras.layers.Embedding(size, 4) for size in contexts]
        self.recency = self.add_weight(name="recency", shape=(TOWER_HISTORY,), initializer="zeros")

    def call(self, inputs: dict[str, tf.Tensor]) -> tf.Tensor:
        """inputs as `Encoder.queries` gives them -> [batch, dimension]"""
        history = self.pool(inputs["history"])
        parts = [
            history,
            self.users(inputs["user_id"]),
            self.hours(inputs["hour"]),
            self.weekdays(inputs["weekday"]),
            inputs["activity"],
            *(embedding(inputs["context"][:, at]) for at, embedding in enumerate(self.context_embeddings)),
            *self.attributes(inputs),
        ]
        return self.finish(parts, history)

    def pool(self, history: tf.Tensor) -> tf.Tensor:
        """[batch, TOWER_HISTORY] indexes, newest last, 0 is none -> mean of embeddings weighted by learned recency."""
        there = tf.cast(history > 0, tf.float32)
        weights = tf.exp(self.recency) * there
        weights /= tf.reduce_sum(weights, axis=1, keepdims=True) + 1e-6
        return tf.reduce_sum(self.items(history) * weights[:, :, None], axis=1)


class TwoTower(tfrs.Model):  # type: ignore[misc]
    """Both towers under an in-batch softmax with logQ correction; other hits of the batch are no negatives."""

    def __init__(self, query_tower: QueryTower, item_tower: ItemTower, settings: TwoTowerSettings) -> None:
        super().__init__()
        self.query_tower = query_tower
        self.item_tower = item_tower
        self.id_dropout = settings.id_dropout
        self.task = tfrs.tasks.Retrieval(metrics=None, remove_accidental_hits=True, temperature=settings.temperature)

    def compute_loss(self, batch: dict[str, dict[str, tf.Tensor]], training: bool = False) -> tf.Tensor:
        query, item = batch["query"], batch["item"]
        if training:
            kept = tf.random.uniform(tf.shape(query["user_id"])) >= self.id_dropout
            query = {**query, "user_id": tf.where(kept, query["user_id"], 0)}
        return self.task(
            self.query_tower(query),
            self.item_tower(item),
            candidate_sampling_probability=batch["sampling"]["probability"],
            candidate_ids=item["item_id"],
            compute_metrics=False,
        )


def build(encoder: Encoder, settings: TwoTowerSettings) -> TwoTower:
    """An untrained model whose tables have the sizes of the encoder's vocabularies."""
    item_tower = ItemTower(settings, len(encoder.item_ids), [len(v) for v in encoder.items.categorical.values()])
    query_tower = QueryTower(
        settings,
        len(encoder.user_ids),
        [len(v) for v in encoder.users.categorical.values()],
        [len(v) for v in encoder.contexts.values()],
        item_tower.items,
    )
    return TwoTower(query_tower, item_tower, settings)


def train(
    model: TwoTower,
    queries: Columns,
    items: Columns,
    *,
    settings: TwoTowerSettings,
    seed: int,
    on_epoch: Callable[[int, dict[str, float]], None],
) -> None:
    """Fit on n positive pairs: `queries` and `items` hold the towers' inputs, row by row."""
    tf.keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    ids = items["item_id"]
    probability = (np.bincount(ids) / len(ids))[ids].astype(np.float32)
    columns = {"query": queries, "item": items, "sampling": {"probability": probability}}
    tensors = tf.nest.map_structure(tf.constant, columns)
    # Shuffled row numbers, then one gather a batch: row by row the pipeline would cost more than the training.
    rows = tf.data.Dataset.range(len(ids)).shuffle(len(ids), seed=seed)
    batches = rows.batch(settings.batch_size, drop_remainder=len(ids) > settings.batch_size).map(
        lambda chosen: tf.nest.map_structure(lambda column: tf.gather(column, chosen), tensors)
    )
    model.compile(optimizer=tf.keras.optimizers.Adam(settings.learning_rate))
    report = tf.keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: on_epoch(epoch, dict(logs)))
    model.fit(batches.prefetch(2), epochs=settings.epochs, verbose=0, callbacks=[report])


def embed(tower: Tower, inputs: Columns, batch_size: int = 4096) -> Array:
    """Unit vectors [n, dimension] of n rows of inputs."""
    rows = len(next(iter(inputs.values())))
    parts = [
        tower({name: values[at : at + batch_size] for name, values in inputs.items()}).numpy()
        for at in range(0, rows, batch_size)
    ]
    return np.concatenate(parts)
