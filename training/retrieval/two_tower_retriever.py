"""The two towers over ids and bags alone, as one retriever among others: no features, no time.

The same towers, loss and training as for requests with features. What a user met is a bag without an order; each epoch
shows the query tower a random part of it and asks for the rest (Liang et al., "Variational autoencoders for
collaborative filtering", WWW 2018, for the bag and the softmax over all items; Mao et al., "SimpleX", CIKM 2021, for
the sum of user embedding and history under a cosine).
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Self

import numpy as np
from scipy import sparse

from training.retrieval.held_out import Held
from training.retrieval.port import Array, Catalogue, Log, Queries, spread
from training.retrieval.spectral import spectral_items
from training.retrieval.training_sets import Bags, bag_inputs, split_bags
from training.settings import BAG_TOWER, TwoTowerSettings

if TYPE_CHECKING:
    from training.retrieval.two_tower import TwoTower

HELD_USERS = 2000  # whose bags lose a part to validation; of 500, chance chose the epoch
QUERY_ROWS = 1024  # users whose whole catalogue is scored at once


class TwoTowerRetriever:
    """Cosine of a user with a bag, and of every item; `settings` are those of bags.

    TensorFlow is imported by `fit` and `scores` alone.
    """

    name = "two-tower"

    def __init__(self, settings: TwoTowerSettings = BAG_TOWER) -> None:
        self.settings = settings
        self.validation_ndcg: float | None = None

    def fit(self, log: Log, *, seed: int) -> Self:
        from training.retrieval import two_tower
        from training.retrieval.tower_weights import set_weights, weights_of

        bags = bags_of(log.met, self.settings, seed=seed)
        self._user_ids, self._items = np.asarray(log.user_ids, str), len(log.item_ids)
        self._model = self._built(seed)
        if self.settings.spectral:
            start = weights_of(self._model)
            start["items"][1:] = spectral_items(bags.met, self.settings.dimension, seed=seed)
            set_weights(self._model, start, **self._anything())
        self.validation_ndcg = two_tower.train(
            self._model, bags, settings=self.settings, seed=seed, on_epoch=lambda _number, _logs: None
        )
        self._weights = weights_of(self._model)
        return self

    def scores(self, queries: Queries, catalogue: Catalogue) -> Array:
        known = {user: row for row, user in enumerate(self._user_ids.tolist(), start=1)}
        users = np.array([known.get(str(user), 0) for user in queries.user_ids], np.int64)
        items = self._model.item_tower(catalogue_inputs(self._items)).numpy()
        parts = [
            self._model.query_tower(bag_inputs(users[part], queries.met[part])).numpy() @ items.T
            for part in (slice(at, at + QUERY_ROWS) for at in range(0, max(len(users), 1), QUERY_ROWS))
        ]
        return spread(np.concatenate(parts), catalogue)

    def arrays(self) -> dict[str, Array]:
        return {**self._weights, "user_ids": self._user_ids}

    def restore(self, arrays: Mapping[str, Array]) -> Self:
        from training.retrieval.tower_weights import set_weights

        self._weights = {name: values for name, values in arrays.items() if name != "user_ids"}
        self._user_ids, self._items = arrays["user_ids"], len(arrays["items"]) - 1
        self._model = self._built(seed=0)
        set_weights(self._model, self._weights, **self._anything())
        return self

    def _built(self, seed: int) -> "TwoTower":
        from training.retrieval import two_tower
        from training.retrieval.tensorflow_quiet import tf
        from training.retrieval.towers import Sizes

        tf.keras.utils.set_random_seed(seed)
        model = two_tower.build_towers(Sizes(users=len(self._user_ids) + 1, items=self._items + 1), self.settings)
        inputs = self._anything()
        model.query_tower(inputs["queries"])
        model.item_tower(inputs["items"])
        return model

    def _anything(self) -> dict[str, dict[str, Array]]:
        """Inputs of both towers, from which layers learn their shapes."""
        empty = sparse.csr_array((1, self._items), dtype=np.float32)
        return {"queries": bag_inputs(np.zeros(1, np.int64), empty), "items": catalogue_inputs(self._items)}


def catalogue_inputs(items: int) -> dict[str, Array]:
    """Inputs of the item tower for a vocabulary of `items` ids."""
    return {"item_id": np.arange(1, items + 1)}


def bags_of(met: sparse.csr_array, settings: TwoTowerSettings, *, seed: int) -> Bags:
    """Everyone's bag; those of a few users less a part, which is held out."""
    met = sparse.csr_array(met)
    index, items = np.arange(1, met.shape[0] + 1), catalogue_inputs(met.shape[1])
    kept, chosen, taken = split_bags(met, settings.held_share, HELD_USERS, seed=seed)
    if len(chosen) == 0:
        return Bags(met, index, items)
    return Bags(kept, index, items, Held(bag_inputs(index[chosen], kept[chosen]), taken, kept[chosen]))
