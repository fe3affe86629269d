"""The ranker's matrix: one definition for training rows and for the candidates of a request."""

from typing import Any

import numpy as np

from feature_repo.features.columns import Columns
from feature_repo.features.request import CONTEXT_FEATURES, context_at, state_at, state_features
from training.encoder import AttributeEncoder, Encoder, flags

Array = np.ndarray[Any, Any]

RETRIEVAL_FEATURES = ("two_tower_score", "two_tower_rank", "last_item_score", "popular_rank")


def feature_names(encoder: Encoder) -> tuple[str, ...]:
    """Column names of `feature_matrix`."""
    return (
        *RETRIEVAL_FEATURES,
        *state_features("item"),
        *_attribute_names("item", encoder.items),
        *state_features("user"),
        *_attribute_names("user", encoder.users),
        *CONTEXT_FEATURES,
    )


def feature_matrix(
    encoder: Encoder,
    *,
    users: Columns,
    items: Columns,
    item_attributes: Array,
    moments_us: Array,
    retrieval: Columns,
) -> Array:
    """Float32 [n, features]. `users` and `moments_us` hold n rows, or one row that is repeated for every item.

    `items` [n] is raw state; `item_attributes` [n, a] comes from `attribute_matrix`, which a process computes once.
    """
    rows = len(item_attributes)
    of_items = [
        *(retrieval[name] for name in RETRIEVAL_FEATURES),
        *state_at("item", items, np.broadcast_to(moments_us, rows)).values(),
    ]
    of_request = [*state_at("user", users, moments_us).values()]
    right = [attribute_matrix(encoder.users, users, len(moments_us)), *context_at(moments_us).values()]
    parts = [*of_items, item_attributes, *of_request, *right]
    matrix = np.empty((rows, sum(1 if part.ndim == 1 else part.shape[1] for part in parts)), np.float32)
    at = 0
    for part in parts:
        width = 1 if part.ndim == 1 else part.shape[1]
        matrix[:, at : at + width] = part[:, None] if part.ndim == 1 else part
        at += width
    return matrix


def attribute_matrix(encoder: AttributeEncoder, columns: Columns, rows: int) -> Array:
    """Declared attributes as float32 [rows, a]. Trees need neither scales nor imputation: missing numbers stay NaN."""
    parts = [columns[name][:, None] for name in encoder.numeric]
    parts += [known.encode(columns[name])[:, None] for name, known in encoder.categorical.items()]
    parts += [flags(known, columns[name]) for name, known in encoder.multi.items()]
    return np.concatenate([np.zeros((rows, 0)), *parts], axis=1).astype(np.float32)


def _attribute_names(prefix: str, encoder: AttributeEncoder) -> list[str]:
    multi = [f"{name}={value}" for name, known in encoder.multi.items() for value in known.values]
    return [f"{prefix}:{name}" for name in (*encoder.numeric, *encoder.categorical, *multi)]
