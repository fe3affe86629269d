"""The two towers: inputs of a request or of an item to a unit vector.

Query tower: user id, attributes, activity, time and context, and the history by attention over the item tower's own id
embeddings. Item tower: item id, attributes and popularity. Index 0 of every table is what training did not know. Which
inputs there are is settled by the first call: a tower over ids alone has the same classes as one over features.
"""

from dataclasses import dataclass

from feature_repo.core.errors import DatasetError
from training.retrieval.attention import HistoryAttention
from training.retrieval.tensorflow_quiet import tf
from training.settings import TwoTowerSettings

NUMBERS = ("flags", "numbers", "text", "popularity", "activity")  # inputs that are numbers already


@dataclass(frozen=True)
class Sizes:
    """Rows of every table of a pair of towers, index 0 included."""

    users: int
    items: int
    user_categories: tuple[int, ...] = ()
    item_categories: tuple[int, ...] = ()
    contexts: tuple[int, ...] = ()


class Tower(tf.keras.Model):  # type: ignore[misc]
    """Embeds indexes, joins them with numbers, and ends in a unit vector [batch, dimension]."""

    def __init__(self, settings: TwoTowerSettings, categories: tuple[int, ...], name: str) -> None:
        super().__init__(name=name)
        self.category_embeddings = [tf.keras.layers.Embedding(size, 8) for size in categories]
        self.hidden = tf.keras.layers.Dense(settings.hidden, activation="relu")
        self.output_layer = tf.keras.layers.Dense(settings.dimension)

    def features(self, inputs: dict[str, tf.Tensor]) -> list[tf.Tensor]:
        """`categories` [batch, c] embedded, and what of NUMBERS there is."""
        embedded = [e(inputs["categories"][:, at]) for at, e in enumerate(self.category_embeddings)]
        return [*embedded, *(inputs[name] for name in NUMBERS if name in inputs)]

    def finish(self, parts: list[tf.Tensor], residual: tf.Tensor) -> tf.Tensor:
        """A hidden layer over `parts` and `residual` [batch, dimension], added to the residual, normalised."""
        joined = self.output_layer(self.hidden(tf.concat([*parts, residual], axis=1)))
        return tf.math.l2_normalize(joined + residual, axis=1)


class ItemTower(Tower):
    """Item id, attributes and popularity to a unit vector."""

    def __init__(self, settings: TwoTowerSettings, sizes: Sizes) -> None:
        super().__init__(settings, sizes.item_categories, "item_tower")
        self.items = table(sizes.items, settings.dimension)

    def call(self, inputs: dict[str, tf.Tensor]) -> tf.Tensor:
        """inputs["item_id"] [batch] and features -> [batch, dimension]"""
        item, features = self.items(inputs["item_id"]), self.features(inputs)
        # Ids alone need no hidden layer: what it could learn, the table can hold.
        return self.finish(features, item) if features else tf.math.l2_normalize(item, axis=1)


class QueryTower(Tower):
    """User id, features, time and history to a unit vector; reads the item tower's id embeddings."""

    def __init__(self, settings: TwoTowerSettings, sizes: Sizes, items: tf.keras.layers.Embedding) -> None:
        super().__init__(settings, sizes.user_categories, "query_tower")
        self.items = items
        self.users = table(sizes.users, settings.dimension, scale=settings.user_scale)
        self.hours = tf.keras.layers.Embedding(24, 4)
        self.weekdays = tf.keras.layers.Embedding(7, 4)
        self.context_embeddings = [tf.keras.layers.Embedding(size, 4) for size in sizes.contexts]
        self.attention = HistoryAttention(settings.heads, settings.dimension)

    def call(self, inputs: dict[str, tf.Tensor]) -> tf.Tensor:
        """inputs as `Encoder.queries` gives them, or with a bag in place of the history -> [batch, dimension]

        A history is `history` [batch, h]: item indexes, newest last, 0 is none. A bag has no order: `bag_item` [n] are
        item indexes and `bag_row` [n] the row of the batch that each belongs to.
        """
        user = self.users(inputs["user_id"])
        parts = [*self.moment(inputs), *self.features(inputs)]
        asker = tf.concat([user, *parts], axis=1)
        if "history" in inputs:
            there = tf.cast(inputs["history"] > 0, tf.float32)
            history = self.attention.over_list(asker, self.items(inputs["history"]), there)
        elif "bag_item" in inputs:
            history = self.attention.over_bag(asker, self.items(inputs["bag_item"]), inputs["bag_row"])
        else:
            raise DatasetError(f"a query holds a history or a bag; got {sorted(inputs)}")
        return self.finish(parts, history + user)

    def moment(self, inputs: dict[str, tf.Tensor]) -> list[tf.Tensor]:
        """Hour, weekday [batch] and declared context [batch, c] embedded, where they are."""
        times = (("hour", self.hours), ("weekday", self.weekdays))
        embedded = [embedding(inputs[name]) for name, embedding in times if name in inputs]
        return embedded + [e(inputs["context"][:, at]) for at, e in enumerate(self.context_embeddings)]


def table(rows: int, dimension: int, scale: float = 1.0) -> tf.keras.layers.Embedding:
    """Embeddings whose rows start with a length of about `scale`: a hidden layer then adds to them, not they to it."""
    spread = tf.keras.initializers.RandomNormal(stddev=scale * dimension**-0.5)
    return tf.keras.layers.Embedding(rows, dimension, embeddings_initializer=spread)
