"""Requests for the two towers: every moment of a window with what was liked at it, and the user as known before."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from feast import FeatureStore

from feature_repo.dataset.declaration import Dataset
from feature_repo.features.columns import Columns, as_columns, take
from feature_repo.features.user import user_features_at
from feature_repo.store.historical import features_at
from feature_repo.store.item_table import ItemTable
from training.encoder import Encoder, fit_encoder
from training.replay import Moment
from training.retrieval.training_sets import Requests
from training.retrieval.vocabularies import grown_encoder
from training.settings import TrainingSettings

Array = np.ndarray[Any, Any]

SEEN = frozenset({"user_seen", "user_hidden"})  # the filters' state; the towers do not read it


@dataclass(frozen=True)
class Examples:
    """Requests as the towers' inputs, and the encoder that was fitted on them.

    `requests.items` are the items of the encoder's vocabulary, in its order. `segments` is the segment of the user at
    each request.
    """

    requests: Requests
    encoder: Encoder
    segments: Array


def tower_examples(
    store: FeatureStore,
    dataset: Dataset,
    asked: list[Moment],
    catalogue: ItemTable,
    settings: TrainingSettings,
    *,
    known: Encoder | None = None,
) -> Examples:
    """Requests of `asked`; an item's attributes and popularity are those of `catalogue`.

    `known` is the encoder of the version to start from: it keeps what it was fitted with and only gains ids.
    """
    user_ids = np.array([m.user_id for m in asked], object)
    moments_us = np.array([m.moment_us for m in asked], np.int64)
    table = features_at(store, "user_id", user_ids, moments_us, leave_out=SEEN)
    users = as_columns(table, [c for c in table.column_names if c not in ("user_id", "event_timestamp")])
    item_ids = np.array([item for m in asked for item in m.items], object)
    contexts = [m.context for m in asked]
    if known is None:
        met = np.unique(catalogue.rows.of_all(item_ids))
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
    else:
        encoder = grown_encoder(known, user_ids, item_ids)
    segments = encoder.segments.assign(user_features_at(encoder.plan, users, moments_us)).astype(np.int64)
    requests = Requests(
        queries=encoder.queries(user_ids, users, moments_us, contexts),
        starts=np.concatenate([[0], np.cumsum([len(m.items) for m in asked])]).astype(np.int64),
        positives=encoder.item_ids.encode(item_ids) - 1,
        items=vocabulary_inputs(encoder, catalogue),
        held_share=settings.tower.held_share,
    )
    return Examples(requests, encoder, segments)


def vocabulary_inputs(encoder: Encoder, catalogue: ItemTable) -> Columns:
    """Inputs of the item tower for the items of the encoder's vocabulary [m], in its order."""
    rows = catalogue.rows.of_all(encoder.item_ids.values)
    return encoder.item_inputs(catalogue.item_ids[rows], take(catalogue.columns, rows))
