"""Towers that start from those of an earlier version, to be trained on what came since.

What was fitted besides ids stays as it was: the meaning of every input but the ids is that of the earlier encoder, and
only its vocabularies of users and items grow. A full retrain fits all of it anew.
"""

import numpy as np

from feature_repo.features.columns import Columns
from training.encoder import Encoder
from training.retrieval.tower_weights import Weights, grown, set_weights
from training.retrieval.two_tower import TwoTower, build
from training.settings import TwoTowerSettings
from training.vocabulary import Vocabulary

SHARE_OF_RATE = 0.3  # of the learning rate: enough for what is new, too little to forget what was learnt
SHARE_OF_EPOCHS = 0.5


def warm_settings(settings: TwoTowerSettings) -> TwoTowerSettings:
    """Settings for training on new requests only: fewer epochs at a lower rate."""
    epochs = max(round(settings.epochs * SHARE_OF_EPOCHS), 1)
    return settings.model_copy(update={"learning_rate": settings.learning_rate * SHARE_OF_RATE, "epochs": epochs})


def grown_weights(
    weights: Weights,
    *,
    users: tuple[Vocabulary, Vocabulary],
    items: tuple[Vocabulary, Vocabulary],
    seed: int,
) -> Weights:
    """Saved weights with tables for the new vocabularies; `users` and `items` are each (old, new)."""
    rng = np.random.default_rng(seed)
    tables = {"users": grown(weights["users"], *users, rng=rng), "items": grown(weights["items"], *items, rng=rng)}
    return {**weights, **tables}


def warm_start(
    weights: Weights,
    old: Encoder,
    new: Encoder,
    settings: TwoTowerSettings,
    *,
    queries: Columns,
    items: Columns,
    seed: int,
) -> TwoTower:
    """A model for the encoder `new` that starts from `weights`, which were trained under `old`.

    `new` is `old` with more ids (`grown_encoder`); `queries` and `items` are any inputs of the towers.
    """
    larger = grown_weights(weights, users=(old.user_ids, new.user_ids), items=(old.item_ids, new.item_ids), seed=seed)
    model = build(new, settings)
    set_weights(model, larger, queries=queries, items=items)
    return model
