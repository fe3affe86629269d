"""The loss: each positive of a request against what is none, over one set of candidates for the whole batch.

The candidates of a batch are the distinct positives of its requests, items drawn uniformly from the catalogue (Yang et
al., "Mixed negative sampling for learning two-tower neural networks in recommendations", WWW 2020), and hard negatives.
What is sampled more often is a negative more often than it should be; so the log of its probability to be among the
candidates is taken off its logit (Yi et al., "Sampling-bias-corrected neural modeling for large corpus item
recommendations", RecSys 2019). Where every item is a candidate there is nothing to correct.

`tfrs.tasks.Retrieval` and its `RemoveAccidentalHits` know one positive a query; the correction is TFRS's own layer.
It clips probabilities at 1e-6. They are those of a whole batch here, which no item that is ever met comes below.
"""

from typing import Any

from training.retrieval.tensorflow_quiet import tf, tfrs

REMOVED = -1e9  # the logit of a candidate that is no negative for a request
NOT_THERE = -1


def places(candidates: tf.Tensor, items: int) -> tf.Tensor:
    """Where each of `items` rows stands among the candidate rows [c]; NOT_THERE otherwise; int64 [items]."""
    nowhere = tf.fill((items,), tf.constant(NOT_THERE, tf.int64))
    return tf.tensor_scatter_nd_update(nowhere, candidates[:, None], tf.range(tf.shape(candidates)[0], dtype=tf.int64))


def inclusion(batch_probability: tf.Tensor, drawn: int, items: int) -> tf.Tensor:
    """Probability [c] that an item is a candidate: met in the batch, or one of `drawn` out of `items`."""
    missed = (1.0 - 1.0 / items) ** drawn
    return 1.0 - (1.0 - batch_probability) * missed


def corrected(logits: tf.Tensor, probability: tf.Tensor) -> tf.Tensor:
    """Logits [q, c] less the log of each candidate's sampling probability [c]."""
    return tfrs.layers.loss.SamplingProbablityCorrection()(logits, probability)


def softmax_loss(
    logits: tf.Tensor, positives: tuple[tf.Tensor, tf.Tensor], spared: tuple[tf.Tensor, tf.Tensor]
) -> tf.Tensor:
    """Mean over requests of that over its positives of -log softmax of each among itself and the request's negatives.

    `logits` [q, c]; `positives` rows, columns [n] say where the positives stand; `spared` rows, columns [s] what else
    is no negative of its request, a column of NOT_THERE is passed over. Positives of one request do not compete.
    """
    rows, columns = positives
    own, against = own_and_against(logits, pairs(rows, columns), spared_pairs(positives, spared))
    losses, queries = tf.nn.softplus(tf.gather(against, rows) - own), tf.shape(logits)[0]
    shares = 1.0 / tf.math.unsorted_segment_sum(tf.ones_like(own), rows, queries)
    return tf.reduce_sum(losses * tf.gather(shares, rows)) / tf.cast(queries, tf.float32)


def spared_pairs(*places: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
    """Rows and columns of several kinds as pairs [n, 2], those of NOT_THERE left out."""
    rows, columns = (tf.concat(parts, axis=0) for parts in zip(*places, strict=True))
    there = tf.where(columns != NOT_THERE)[:, 0]
    return pairs(tf.gather(rows, there), tf.gather(columns, there))


def pairs(rows: tf.Tensor, columns: tf.Tensor) -> tf.Tensor:
    return tf.stack([rows, columns], axis=1)


@tf.custom_gradient  # type: ignore[untyped-decorator]
def own_and_against(
    logits: tf.Tensor, positives: tf.Tensor, spared: tf.Tensor
) -> tuple[tuple[tf.Tensor, tf.Tensor], Any]:
    """Logits [n] of the pairs `positives` [n, 2]; log of the sum of exponentials [q] of all but `spared` [s, 2].

    The gradient is written down because the derived one reads and writes as many arrays of the size of `logits` again
    as the rest of the training takes time for.
    """
    own = tf.gather_nd(logits, positives)
    with tf.control_dependencies([own]):  # then nothing else reads `logits`, and it is changed in its place
        removed = tf.fill(tf.shape(spared)[:1], REMOVED)
        left = tf.tensor_scatter_nd_update(logits, spared, removed)
    most = tf.reduce_max(left, axis=1, keepdims=True)
    exponentials = tf.exp(left - most)
    total = tf.reduce_sum(exponentials, axis=1, keepdims=True)
    against = tf.squeeze(tf.math.log(total) + most, axis=1)

    def gradient(of_own: tf.Tensor, of_against: tf.Tensor) -> tuple[tf.Tensor, None, None]:
        of_against = tf.convert_to_tensor(of_against)  # what a gather gives back is rows of it
        shares = exponentials * (of_against[:, None] / total)
        return tf.tensor_scatter_nd_add(shares, positives, of_own), None, None

    return (own, against), gradient
