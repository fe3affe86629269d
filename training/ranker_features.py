"""The ranker's matrix: one definition for training rows and for the candidates of a request."""

from typing import Any

import numpy as np

from feature_repo.features.columns import Columns
from feature_repo.features.request import CONTEXT_FEATURES, context_at, state_at, state_features
from training.encoder import AttributeEncoder, Encoder, flags

Array = np.ndarray[Any, Any]

RETRIEVAL_FEATURES = ("two_tower_score", "two_tower_rank", "popular_rank")


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
    encoder: Encoder, *, users: Columns, items: Columns, moments_us: Array, retrieval: Columns
) -> Array:
    """Float32 [n, features]. `users` and `moments_us` hold n rows, or one row that is repeated for every item."""
    rows = len(retrieval["two_tower_score"])
    of_request = [state_at("user", users, moments_us), _attributes(encoder.users, users), context_at(moments_us)]
    of_items = [
        {name: retrieval[name] for name in RETRIEVAL_FEATURES},
        state_at("item", items, np.broadcast_to(moments_us, rows)),
        _attributes(encoder.items, items),
    ]
    left = _stack(of_items)
    right = np.broadcast_to(_stack(of_request), (rows, sum(len(part) for part in of_request)))
    return np.concatenate([left, right], axis=1)


def _stack(parts: list[Columns]) -> Array:
    return np.stack([values for part in parts for values in part.values()], axis=1).astype(np.float32)


def _attributes(encoder: AttributeEncoder, columns: Columns) -> Columns:
    # Trees need neither scales nor imputation: a number goes in as it is, missing as NaN.
    named: Columns = {name: columns[name] for name in encoder.numeric}
    named.update({name: known.encode(columns[name]) for name, known in encoder.categorical.items()})
    for name, known in encoder.multi.items():
        hot = flags(known, columns[name])
        named.update({f"{name}={value}": hot[:, place] for place, value in enumerate(known.values)})
    return named


def _attribute_names(prefix: str, encoder: AttributeEncoder) -> list[str]:
    multi = [f"{name}={value}" for name, known in encoder.multi.items() for value in known.values]
    return [f"{prefix}:{name}" for name in (*encoder.numeric, *encoder.categorical, *multi)]
