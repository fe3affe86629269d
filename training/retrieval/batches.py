"""Training sets as batches, all epochs one after the other.

A batch is `query` (inputs of the query tower), `row` and `item` [n] (the batch's positives: row of the batch, row of
the catalogue) and `request` [batch] (its number in the set). Arrays stay whole and a batch is one gather of shuffled
numbers: a pipeline that passes single rows costs more than the training. Two calls run at once, in a fixed order.
"""

from functools import singledispatch
from typing import Any

from feature_repo.core.errors import DatasetError
from training.retrieval.tensorflow_quiet import tf
from training.retrieval.training_sets import Bags, Requests, TrainingSet
from training.settings import TwoTowerSettings

AHEAD = 4  # batches that are ready before they are asked for


@singledispatch
def batches(examples: TrainingSet, settings: TwoTowerSettings, seed: int) -> "tf.data.Dataset":  # noqa: ARG001
    """ceil(len / batch_size) batches an epoch, `settings.epochs` epochs, each in an order of its own."""
    raise DatasetError(f"the towers learn from requests, bags or row groups; got {type(examples).__name__}")


@batches.register
def _requests(examples: Requests, settings: TwoTowerSettings, seed: int) -> "tf.data.Dataset":
    queries = tf.nest.map_structure(tf.constant, examples.queries)
    starts, positives = tf.constant(examples.starts), tf.constant(examples.positives)

    def gathered(chosen: tf.Tensor) -> dict[str, Any]:
        row, item = ragged(starts, positives, chosen)
        query = tf.nest.map_structure(lambda column: tf.gather(column, chosen), queries)
        return {"query": query, "row": row, "item": item, "request": chosen}

    order = shuffled(len(examples), settings, seed)
    return order.map(gathered, num_parallel_calls=2, deterministic=True).prefetch(AHEAD)


@batches.register
def _bags(examples: Bags, settings: TwoTowerSettings, seed: int) -> "tf.data.Dataset":
    """Every epoch shows another random part of each bag, a share within `input_share`; the rest are the positives."""
    starts = tf.constant(examples.met.indptr, tf.int64)
    members = tf.constant(examples.met.indices, tf.int64)
    index = tf.constant(examples.user_index)
    low, high = settings.input_share

    def parted(number: tf.Tensor, chosen: tf.Tensor) -> dict[str, Any]:
        row, item = ragged(starts, members, chosen)
        draws = tf.random.experimental.stateless_split([seed, number], 2)
        share = tf.random.stateless_uniform(tf.shape(chosen), draws[0], low, high)
        shown = tf.random.stateless_uniform(tf.shape(row), draws[1]) < tf.gather(share, row)
        query = {
            "user_id": tf.gather(index, chosen),
            "bag_row": tf.boolean_mask(row, shown),
            "bag_item": tf.boolean_mask(item, shown) + 1,
        }
        hidden = tf.logical_not(shown)
        positives = {"row": tf.boolean_mask(row, hidden), "item": tf.boolean_mask(item, hidden)}
        return {"query": query, **positives, "request": chosen}

    numbered = shuffled(len(examples), settings, seed).enumerate()
    return numbered.map(parted, num_parallel_calls=2, deterministic=True).prefetch(AHEAD)


def shuffled(rows: int, settings: TwoTowerSettings, seed: int) -> "tf.data.Dataset":
    """Row numbers in batches, epoch after epoch, each a permutation of its own."""
    size = settings.batch_size
    steps = -(-rows // size)

    def epoch(number: tf.Tensor) -> "tf.data.Dataset":
        order = tf.random.experimental.stateless_shuffle(tf.range(rows, dtype=tf.int64), [seed, number])
        return tf.data.Dataset.range(steps).map(lambda step: order[step * size : (step + 1) * size])

    return tf.data.Dataset.range(settings.epochs).flat_map(epoch)


def ragged(starts: tf.Tensor, values: tf.Tensor, chosen: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The values of the chosen rows [n]: the place in `chosen` that each belongs to [n], and themselves [n]."""
    places = tf.ragged.range(tf.gather(starts, chosen), tf.gather(starts, chosen + 1))
    return places.value_rowids(), tf.gather(values, places.flat_values)
