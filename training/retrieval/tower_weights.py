"""The weights of both towers as named arrays, and a start from those of an earlier run.

`items` and `users` are the tables that grow with their vocabularies; all other weights are `layer_NN`, in the order in
which the model makes them. In a file they are a .npz without objects.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from feature_repo.core.errors import BundleError
from feature_repo.features.columns import Columns
from training.retrieval.two_tower import TwoTower
from training.vocabulary import Vocabulary

Array = np.ndarray[Any, Any]
Weights = Mapping[str, Array]

NOISE = 0.01  # of a new row's length: equal rows would stay equal where nothing tells them apart


def weights_of(model: TwoTower) -> dict[str, Array]:
    return {name: variable.numpy() for name, variable in _variables(model).items()}


def set_weights(model: TwoTower, weights: Weights, *, queries: Columns, items: Columns) -> None:
    """Give `model` the saved `weights`; `queries` and `items` are any inputs, from which its layers learn their shapes.

    Raises:
        BundleError: the weights are those of other towers.
    """
    model.query_tower(queries)
    model.item_tower(items)
    variables = _variables(model)
    expected = {name: tuple(variable.shape) for name, variable in variables.items()}
    found = {name: values.shape for name, values in weights.items()}
    if expected != found:
        differ = sorted(name for name in {*expected, *found} if expected.get(name) != found.get(name))
        raise BundleError(
            f"weights of a tower have its shapes; got {found.get(differ[0])} for {differ[0]}, expected "
            f"{expected.get(differ[0])}, and {len(differ) - 1} more that differ"
        )
    for name, variable in variables.items():
        variable.assign(weights[name])


def save_weights(model: TwoTower, path: Path) -> None:
    np.savez(path, allow_pickle=False, **weights_of(model))


def load_weights(path: Path) -> dict[str, Array]:
    with np.load(path, allow_pickle=False) as saved:
        return {name: saved[name] for name in saved.files}


def _variables(model: TwoTower) -> dict[str, Any]:
    tables = {"items": model.item_tower.items.embeddings, "users": model.query_tower.users.embeddings}
    layers = [v for v in model.trainable_variables if all(v is not table for table in tables.values())]
    return tables | {f"layer_{number:02d}": variable for number, variable in enumerate(layers)}


def grown(table: Array, old: Vocabulary, new: Vocabulary, *, rng: np.random.Generator) -> Array:
    """`table` [len(old), dimension] for the ids of `new` [len(new), dimension].

    A known id keeps its row; a new one starts from that of the unknown, which was trained on ids that were hidden, with
    a little noise; an id that went away is dropped.
    """
    rows = old.encode(np.array(("", *new.values), object))
    rows[0] = 0
    found = table[rows].copy()
    fresh = np.flatnonzero(rows[1:] == 0) + 1
    length = float(np.linalg.norm(table, axis=1).mean()) * NOISE / table.shape[1] ** 0.5
    found[fresh] += rng.normal(0.0, length, (len(fresh), table.shape[1])).astype(table.dtype)
    return found
