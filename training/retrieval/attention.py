"""Attention of a request over the items of its history, as the item tower embeds them.

Every head asks with a vector that is learned and, in part, made from who asks and when: the logit of an item is their
product, plus a bias of its age. Weights add up to 1 over the history (Vaswani et al., "Attention is all you need",
2017, with one query a head). A list of fixed width, as requests bring it, is read from a dense array that exports to
ONNX; a bag, whose size varies from tens to thousands, from flat pairs, so that a long one costs nobody else padding.
"""

from typing import Any

import numpy as np

from training.retrieval.tensorflow_quiet import tf

LIMIT = 8.0  # logits stay in [-LIMIT, LIMIT], so that their exponentials need no maximum taken off first
EXACT_AGES = 16  # the newest items have a bias each; older ones share it
AGES = 48  # of which the last is for all that is older still


class HistoryAttention(tf.keras.layers.Layer):  # type: ignore[misc]
    """`heads` weighted means of item embeddings [.., dimension], joined into one [batch, dimension]."""

    def __init__(self, heads: int, dimension: int) -> None:
        super().__init__()
        self.heads, self.dimension = heads, dimension
        # Starts as the plain mean: all weights equal, all heads alike.
        self.asking = tf.keras.layers.Dense(heads * dimension, kernel_initializer="zeros")
        mean = np.concatenate([np.eye(dimension, dtype=np.float32) / heads] * heads)
        self.joined = tf.keras.layers.Dense(dimension, use_bias=False, kernel_initializer=tf.constant_initializer(mean))
        self.recency = tf.keras.layers.Embedding(AGES, heads, embeddings_initializer="zeros")

    def over_list(self, asker: tf.Tensor, items: tf.Tensor, there: tf.Tensor) -> tf.Tensor:
        """asker [batch, a], items [batch, h, dimension], newest last, there [batch, h] 1.0 or 0.0."""
        asking = tf.reshape(self.asking(asker), (-1, self.heads, self.dimension))
        bias = self.recency(age_codes(items.shape[1]))
        # Not by einsum, which exports to twenty operations.
        logits = tf.matmul(asking, items, transpose_b=True) + tf.transpose(bias)
        weights = bounded(logits) * tf.expand_dims(there, 1)
        weights /= tf.reduce_sum(weights, axis=2, keepdims=True) + 1e-6
        pooled = tf.matmul(weights, items)
        return self.joined(tf.reshape(pooled, (-1, self.heads * self.dimension)))

    def over_bag(self, asker: tf.Tensor, items: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
        """asker [batch, a], items [n, dimension], rows [n] of the batch: an order-free history."""
        batch = tf.shape(asker)[0]
        asking = tf.reshape(self.asking(asker), (-1, self.heads, self.dimension))
        pooled = []
        for head in range(self.heads):
            logits = tf.reduce_sum(tf.gather(asking[:, head], rows) * items, axis=1)
            weights = bounded(logits)
            total = tf.math.unsorted_segment_sum(weights, rows, batch) + 1e-6
            shares = weights / tf.gather(total, rows)
            pooled.append(tf.math.unsorted_segment_sum(items * shares[:, None], rows, batch))
        return self.joined(tf.concat(pooled, axis=1))


def bounded(logits: tf.Tensor) -> tf.Tensor:
    return tf.exp(tf.clip_by_value(logits, -LIMIT, LIMIT))


def age_codes(width: int) -> "np.ndarray[Any, np.dtype[np.int64]]":
    """The bias that each place of a list [width] uses: its own for the newest, then one for every sixth of a doubling.

    A history of any width has the same code for the same age, so a tower may read longer ones than it was trained on.
    """
    ages = np.arange(width)[::-1]
    older = EXACT_AGES + np.floor(6 * np.log2(np.maximum(ages, EXACT_AGES) / EXACT_AGES)).astype(np.int64)
    return np.minimum(np.where(ages < EXACT_AGES, ages, older), AGES - 1)
