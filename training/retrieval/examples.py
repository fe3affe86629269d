"""Positive pairs for the two towers: every liked event of a window, with the user as known just before it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from feast import FeatureStore

from feature_repo.dataset.declaration import Dataset
from feature_repo.features.columns import Columns, as_columns, take
from feature_repo.store.historical import features_at
from feature_repo.store.item_table import ItemTable
from training.encoder import Encoder, fit_encoder
from training.replay import Moment
from training.settings import TrainingSettings

Array = np.ndarray[Any, Any]

SEEN = frozenset({"user_seen"})  # a filter's state; the towers do not read it


@dataclass(frozen=True)
class Examples:
    """n positive pairs as the towers' inputs, and the encoder that was fitted on them."""

    queries: Columns
    items: Columns
    encoder: Encoder


def tower_examples(
    store: FeatureStore, dataset: Dataset, asked: list[Moment], catalogue: ItemTable, settings: TrainingSettings
) -> Examples:
    """Pairs from `asked`; an item's attributes are those of `catalogue`."""
    user_ids = np.array([m.user_id for m in asked], object)
    moments_us = np.array([m.moment_us for m in asked], np.int64)
    table = features_at(store, "user_id", user_ids, moments_us, leave_out=SEEN)
    users = as_columns(table, [c for c in table.column_names if c not in ("user_id", "event_timestamp")])
    request = np.repeat(np.arange(len(asked)), [len(m.items) for m in asked])
    item_rows = np.array([catalogue.rows[item] for m in asked for item in m.items], np.int64)
    met = np.unique(item_rows)
    contexts = [m.context for m in asked]
    encoder = fit_encoder(
        dataset,
        user_ids=user_ids,
        users=users,
        moments_us=moments_us,
        contexts=contexts,
        item_ids=catalogue.item_ids[met],
        items=take(catalogue.columns, met),
        settings=settings.encoder,
        seed=settings.seed,
    )
    queries = encoder.queries(user_ids, users, moments_us, contexts)
    items = encoder.item_inputs(catalogue.item_ids, catalogue.columns)
    return Examples(queries=take(queries, request), items=take(items, item_rows), encoder=encoder)
