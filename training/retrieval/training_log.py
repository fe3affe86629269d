"""The log that a bundle's retrievers learn from: the liked events of the towers' part of a window."""

from typing import Any

import numpy as np
from feast import FeatureStore

from feature_repo.dataset.declaration import Dataset
from feature_repo.features.columns import as_columns, take
from feature_repo.features.user import user_features_at
from feature_repo.store.historical import features_at
from feature_repo.store.item_table import ItemTable
from training.encoder import Encoder
from training.replay import Moment
from training.retrieval.port import Log

Array = np.ndarray[Any, Any]


def training_log(dataset: Dataset, encoder: Encoder, catalogue: ItemTable, asked: list[Moment], segments: Array) -> Log:
    """Events of `asked`, which are in order of time; `segments` [asked] is the segment of the user at each."""
    request = np.repeat(np.arange(len(asked)), [len(m.items) for m in asked])
    user_ids = encoder.user_ids.encode(np.array([m.user_id for m in asked], object)) - 1
    items = encoder.item_ids.encode(np.array([item for m in asked for item in m.items], object)) - 1
    named = dataset.items.attributes if dataset.items else ()
    rows = catalogue.rows.of_all(encoder.item_ids.values)
    return Log(
        user_ids=np.array(encoder.user_ids.values, object),
        item_ids=np.array(encoder.item_ids.values, object),
        users=user_ids[request],
        items=items,
        moments_us=np.array([m.moment_us for m in asked], np.int64)[request],
        weights=np.array([dataset.weights[kind] for m in asked for kind in m.event_types], np.float32),
        contexts={
            name: np.array([m.context.get(name) for m in asked], object)[request] for name in dataset.events.context
        },
        segments=segments[request],
        item_columns={name: values for name, values in take(catalogue.columns, rows).items() if name in named},
    )


def segments_at(store: FeatureStore, encoder: Encoder, asked: list[Moment]) -> Array:
    """The segment of the user at each request [asked]."""
    moments_us = np.array([m.moment_us for m in asked], np.int64)
    table = features_at(store, "user_id", np.array([m.user_id for m in asked], object), moments_us)
    users = as_columns(table, [c for c in table.column_names if c not in ("user_id", "event_timestamp")])
    return encoder.segments.assign(user_features_at(encoder.plan, users, moments_us)).astype(np.int64)


def usable(names: tuple[str, ...], dataset: Dataset) -> tuple[str, ...]:
    """The retrievers of `names` that can say something on this data set."""
    needed = {
        "repeat": dataset.repeat_consumption,
        "popular-context": bool(dataset.events.context),
        "content": bool(dataset.items and (dataset.items.text or dataset.items.categorical or dataset.items.multi)),
    }
    return tuple(name for name in names if needed.get(name, True))
