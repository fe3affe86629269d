"""The loss: each positive of a request against what is none, over one set of candidates for the whole batch.

The candidates of a batch are the distinct positives of its requests, items drawn uniformly from the catalogue (Yang et
al., "Mixed negative sampling for learning two-tower neural networks in recommendations", WWW 2020), and hard negatives.
What is sampled more often is a negative more often than it should be; so the log of its probability to be among the
candidates is taken off its logit (Yi et al., "Sampling-bias-corrected neural modeling for large corpus item
recommendations", RecSys 2019). Where every item is a candidate there is nothing to correct.

`tfrs.tasks.Retrieval` and its `RemoveAccidentalHits` know one positive a query; the correction is TFRS's own layer.
It clips probabilities at 1e-6. They are those of a whole batch here, which no item that is ever met comes below.
"""

from training.retrieval.tensorflow_quiet import tf, tfrs

REMOVED = -1e9  # added to the logit of a candidate that is no negative for a request
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


def without(logits: tf.Tensor, rows: tf.Tensor, columns: tf.Tensor) -> tf.Tensor:
    """Logits [q, c] with the pairs (rows, columns) [n] removed; a column of NOT_THERE is passed over.

    REMOVED is added, not put in place: an addition costs nothing on the way back.
    """
    there = tf.where(columns != NOT_THERE)[:, 0]
    pairs = tf.stack([tf.gather(rows, there), tf.gather(columns, there)], axis=1)
    return logits + tf.scatter_nd(pairs, tf.fill(tf.shape(there), REMOVED), tf.shape(logits, tf.int64))


def softmax_loss(logits: tf.Tensor, negatives: tf.Tensor, rows: tf.Tensor, columns: tf.Tensor) -> tf.Tensor:
    """Mean over requests of that over its positives of -log softmax of each among itself and the request's negatives.

    `logits` [q, c]; `negatives` [q, c] the same with everything removed that is no negative: all positives among them,
    so that positives of one request do not compete; `rows`, `columns` [n] say where the positives stand.
    """
    own = tf.gather_nd(logits, tf.stack([rows, columns], axis=1))
    against = tf.gather(tf.reduce_logsumexp(negatives, axis=1), rows)
    losses, queries = tf.nn.softplus(against - own), tf.shape(logits)[0]
    shares = 1.0 / tf.math.unsorted_segment_sum(tf.ones_like(own), rows, queries)
    return tf.reduce_sum(losses * tf.gather(shares, rows)) / tf.cast(queries, tf.float32)
