"""What a bundle's manifest says besides metrics and files."""

from typing import Any

import numpy as np
import pyarrow as pa
from feast import FeatureStore

from feature_repo.core.workspace import Workspace, read_json
from feature_repo.dataset.declaration import Dataset
from feature_repo.store.historical import features_at
from feature_repo.store.open import SERVICES, references, stored_features
from training.bundle import type_name
from training.encoder import Encoder
from training.ranker_features import feature_names
from training.settings import TrainingSettings
from training.window import Window


def manifest_facts(
    store: FeatureStore,
    workspace: Workspace,
    dataset: Dataset,
    window: Window,
    encoder: Encoder,
    settings: TrainingSettings,
    retrievers: tuple[str, ...],
) -> dict[str, Any]:
    return {
        "dataset": dataset.name,
        "data_fingerprint": read_json(workspace.reports / "data.json", made_by="make data")["fingerprint"],
        "window_start": window.start.isoformat(),
        "window_end": window.end.isoformat(),
        "repeat_consumption": dataset.repeat_consumption,
        "feature_services": SERVICES,
        "user_features": _raw_features(store, "user_id"),
        "item_features": _raw_features(store, "item_id"),
        "item_attributes": dataset.items.attributes if dataset.items else (),
        "ranker_features": feature_names(encoder, retrievers),
        "retrievers": retrievers,
        "candidates": settings.candidates,
        "prior": settings.prior,
        "pause_hours": settings.ranker.pause_hours,
        "retriever_settings": settings.retrievers,
        "index": settings.index,
    }


def collision_rates(encoder: Encoder) -> dict[str, float]:
    rates = {**encoder.users.collision_rates(), **encoder.items.collision_rates()}
    return {f"collision_rate_{name}": rate for name, rate in rates.items()}


def _raw_features(store: FeatureStore, key: str) -> dict[str, str]:
    # One row of nulls from the store itself tells the types that it answers with.
    row = features_at(store, key, np.array(["\x00"], object), np.array([0], np.int64))
    names = [ref.split(":")[1] for ref in references(stored_features(store, key))]
    return {name: type_name(_value_type(row[name].type)) for name in names}


def _value_type(kind: pa.DataType) -> pa.DataType:
    return pa.list_(kind.value_type) if pa.types.is_large_list(kind) else kind
