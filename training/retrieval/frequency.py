"""How often an item comes up in a stream of batches, without a count of the stream.

Two hash arrays: A holds the step at which a bucket was last met, B the running mean of the steps between meetings;
1 / B estimates the probability that a batch holds the item (Yi et al., RecSys 2019, algorithm 2). With several hash
functions the largest B counts: a collision can only make an item look more frequent.
"""

from training.retrieval.tensorflow_quiet import tf

PRIMES = (1, 2_654_435_761, 40_503)  # a multiplier for each hash function; the first keeps a small catalogue apart


class StreamingFrequency(tf.Module):  # type: ignore[misc]
    """Estimates over `buckets` buckets, moved by `rate` at each meeting; `gap` is the first guess of B in steps."""

    def __init__(self, buckets: int, *, rate: float, gap: float, hashes: int = 1) -> None:
        super().__init__()
        self.buckets, self.rate, self.primes = buckets, rate, PRIMES[:hashes]
        self.last = tf.Variable(tf.zeros((hashes, buckets)), trainable=False, name="last")
        self.gaps = tf.Variable(tf.fill((hashes, buckets), float(gap)), trainable=False, name="gaps")
        self.step = tf.Variable(0.0, trainable=False, name="step")

    def update(self, items: tf.Tensor) -> None:
        """One more batch, whose distinct items are `items` [n]."""
        self.step.assign_add(1.0)
        for number, codes in enumerate(self._codes(items)):
            codes, _ = tf.unique(codes)
            last, gaps = tf.gather(self.last[number], codes), tf.gather(self.gaps[number], codes)
            # A first meeting has no step before it, hence no gap.
            moved = tf.where(last > 0, (1 - self.rate) * gaps + self.rate * (self.step - last), gaps)
            at = tf.stack([tf.fill(tf.shape(codes), tf.cast(number, codes.dtype)), codes], axis=1)
            self.gaps.scatter_nd_update(at, moved)
            self.last.scatter_nd_update(at, tf.fill(tf.shape(codes), self.step))

    def probability(self, items: tf.Tensor) -> tf.Tensor:
        """Estimated share of batches that hold each of `items` [n]."""
        gaps = [tf.gather(self.gaps[number], codes) for number, codes in enumerate(self._codes(items))]
        return 1.0 / tf.maximum(tf.reduce_max(tf.stack(gaps), axis=0), 1.0)

    def _codes(self, items: tf.Tensor) -> list[tf.Tensor]:
        return [tf.cast(items, tf.int64) * prime % self.buckets for prime in self.primes]
