"""What is hidden at random in training, so that a new user, a new item and a short history are nothing unheard of.

An id that is hidden becomes index 0, that of the unknown: so its row learns what to assume, and the features learn to
carry what the id would have (Volkovs et al., "DropoutNet", NeurIPS 2017).
"""

from training.retrieval.tensorflow_quiet import tf
from training.settings import TwoTowerSettings

Inputs = dict[str, tf.Tensor]


def hide_queries(inputs: Inputs, settings: TwoTowerSettings) -> Inputs:
    """User ids at the rate of `id_dropout`, items of histories at that of `history_dropout`."""
    shown = {**inputs, "user_id": masked(inputs["user_id"], settings.id_dropout)}
    if "history" in inputs and settings.history_dropout:
        shown["history"] = masked(inputs["history"], settings.history_dropout)
    return shown


def hide_items(inputs: Inputs, settings: TwoTowerSettings) -> Inputs:
    """Item ids at the rate of `item_dropout`, with the popularity of every second one: a new item has none yet.

    Where items have nothing but an id, nothing is hidden: without it they could not be told apart.
    """
    if len(inputs) == 1 or not settings.item_dropout:
        return inputs
    ids = masked(inputs["item_id"], settings.item_dropout)
    shown = {**inputs, "item_id": ids}
    if "popularity" in inputs:
        new = (ids == 0) & (tf.random.uniform(tf.shape(ids)) < 0.5)
        shown["popularity"] = tf.where(new[:, None], 0.0, inputs["popularity"])
    return shown


def masked(ids: tf.Tensor, share: float) -> tf.Tensor:
    """`ids`, any shape, with about `share` of them as 0."""
    return tf.where(tf.random.uniform(tf.shape(ids)) >= share, ids, tf.zeros_like(ids))
