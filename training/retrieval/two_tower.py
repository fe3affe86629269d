"""The two-tower retriever, trained with TensorFlow Recommenders.

Both towers end in a unit vector; their cosine, divided by the temperature, is the logit of a softmax over candidates.
The query tower runs once a request, whatever the number of its positives. A catalogue of at most `exact_items` is a
candidate as a whole, at every step; of a larger one the candidates are sampled (`softmax.py`).
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from feature_repo.core.errors import DatasetError
from feature_repo.features.columns import Columns
from training.encoder import Encoder
from training.retrieval import softmax
from training.retrieval.batches import batches
from training.retrieval.frequency import StreamingFrequency
from training.retrieval.hidden import hide_items, hide_queries
from training.retrieval.native_memory import kept_memory
from training.retrieval.stopping import BestEpoch, HardNegatives
from training.retrieval.tensorflow_quiet import tf, tfrs
from training.retrieval.towers import ItemTower, QueryTower, Sizes, Tower
from training.retrieval.training_sets import TrainingSet
from training.settings import TwoTowerSettings

Array = np.ndarray[Any, Any]

EMBED_ROWS = 4096
FREQUENCY_RATE = 0.05  # of the streaming estimates; the mean of about twenty gaps
MOST_BUCKETS = 1 << 20  # a hash array of a larger catalogue has collisions


class TwoTower(tfrs.Model):  # type: ignore[misc]
    """Both towers under a softmax over candidates, with ids and histories hidden at random."""

    def __init__(self, query_tower: QueryTower, item_tower: ItemTower, settings: TwoTowerSettings) -> None:
        super().__init__()
        self.query_tower = query_tower
        self.item_tower = item_tower
        self.settings = settings

    def learn_over(self, items: Columns, requests: int) -> None:
        """The catalogue [m] that positives point to, and room for hard negatives of `requests`."""
        self.catalogue = {name: tf.constant(values) for name, values in items.items()}
        self.size = len(items["item_id"])
        self.exact = self.size <= self.settings.exact_items
        if not self.exact:
            buckets = min(self.size, MOST_BUCKETS)
            gap = max(self.size / self.settings.batch_size, 1.0)
            self.frequency = StreamingFrequency(buckets, rate=FREQUENCY_RATE, gap=gap)
            hard = (requests, self.settings.hard_negatives)
            self.hard = tf.Variable(tf.fill(hard, tf.constant(softmax.NOT_THERE, tf.int64)), trainable=False)

    def compute_loss(self, batch: dict[str, Any], training: bool = False) -> tf.Tensor:
        """One batch as a `TrainingSet` gives it."""
        query = hide_queries(batch["query"], self.settings) if training else batch["query"]
        embedded = self.query_tower(query)
        candidates = self.candidates(batch)
        items = {name: tf.gather(values, candidates) for name, values in self.catalogue.items()}
        items = hide_items(items, self.settings) if training else items
        logits = tf.matmul(embedded / self.settings.temperature, self.item_tower(items), transpose_b=True)
        if not self.exact:
            met = self.frequency.probability(candidates)
            logits = softmax.corrected(logits, softmax.inclusion(met, self.settings.uniform_negatives, self.size))
        place = softmax.places(candidates, self.size)
        columns = tf.gather(place, batch["item"])
        positives = (batch["row"], columns)
        spared = positives
        if self.settings.spare_met:
            # What was met is read before anything is hidden: a hidden item is no negative either.
            met_rows, met_items = met_pairs(batch["query"])
            spared = (met_rows, tf.gather(place, met_items))
        return softmax.softmax_loss(logits, positives, spared)

    def candidates(self, batch: dict[str, Any]) -> tf.Tensor:
        """Distinct catalogue rows [c] that the positives of a batch are told from."""
        if self.exact:
            return tf.range(self.size, dtype=tf.int64)
        positives, _ = tf.unique(batch["item"])
        self.frequency.update(positives)
        drawn = tf.random.uniform((self.settings.uniform_negatives,), 0, self.size, tf.int64)
        hard = tf.reshape(tf.gather(self.hard, batch["request"]), [-1])
        found, _ = tf.unique(tf.concat([positives, drawn, tf.boolean_mask(hard, hard >= 0)], axis=0))
        return found


def met_pairs(query: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
    """Row of the batch and catalogue row of everything met [n]."""
    if "bag_item" in query:
        return query["bag_row"], query["bag_item"] - 1
    pairs = tf.where(query["history"] > 0)
    return pairs[:, 0], tf.gather_nd(query["history"], pairs) - 1


def build(encoder: Encoder, settings: TwoTowerSettings) -> TwoTower:
    """An untrained model whose tables have the sizes of the encoder's vocabularies."""
    return build_towers(
        Sizes(
            users=len(encoder.user_ids),
            items=len(encoder.item_ids),
            user_categories=tuple(len(v) for v in encoder.users.categorical.values()),
            item_categories=tuple(len(v) for v in encoder.items.categorical.values()),
            contexts=tuple(len(v) for v in encoder.contexts.values()),
        ),
        settings,
    )


def build_towers(sizes: Sizes, settings: TwoTowerSettings) -> TwoTower:
    item_tower = ItemTower(settings, sizes)
    return TwoTower(QueryTower(settings, sizes, item_tower.items), item_tower, settings)


def train(
    model: TwoTower,
    examples: TrainingSet,
    *,
    settings: TwoTowerSettings,
    seed: int,
    on_epoch: Callable[[int, dict[str, float]], None],
) -> float | None:
    """Fit on `examples`; the model ends with the weights of the epoch of the best NDCG on what they hold out.

    `on_epoch` gets the number of the epoch from 0 on, with `loss` and, where something is held out, `validation_ndcg`.
    Returns the best NDCG. The same examples, settings and seed give the same weights.
    """
    if len(examples) == 0:
        raise DatasetError("the towers learn from requests with a positive; got none")
    tf.keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    model.learn_over(examples.items, len(examples))
    steps = -(-len(examples) // settings.batch_size)
    rate = tf.keras.optimizers.schedules.CosineDecay(settings.learning_rate, steps * settings.epochs, alpha=0.02)
    # Keras' older optimiser is one fused operation a table; its newer one is a dozen.
    model.compile(optimizer=tf.keras.optimizers.legacy.Adam(rate))
    best = BestEpoch(examples, settings)
    report = tf.keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: on_epoch(epoch, dict(logs)))
    hard = [] if model.exact or not settings.hard_negatives else [HardNegatives(examples, settings)]
    with kept_memory():
        model.fit(
            batches(examples, settings, seed),
            epochs=settings.epochs,
            steps_per_epoch=steps,
            verbose=0,
            callbacks=[*hard, best, report],
        )
    return best.score


def embed(tower: Tower, inputs: Columns, batch_size: int = EMBED_ROWS) -> Array:
    """Unit vectors [n, dimension] of n rows of inputs."""
    rows = len(next(iter(inputs.values())))
    parts = [
        tower({name: values[at : at + batch_size] for name, values in inputs.items()}).numpy()
        for at in range(0, max(rows, 1), batch_size)
    ]
    return np.concatenate(parts)
