"""What the data set declares of its users and items, as it held when the window began."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from scipy import sparse

from feature_repo.core.workspace import Workspace
from feature_repo.dataset.declaration import EntityTable
from feature_repo.dataset.prepare import active_dataset, entity_rows
from monitoring.fairness.groups import attribute_labels
from monitoring.fairness.policy import FairnessPolicy

Array = np.ndarray[Any, Any]

ALWAYS_US = -(2**62)  # attributes without a date


def declared_groups(
    workspace: Workspace, asked_by: Sequence[str], policy: FairnessPolicy, at_us: int
) -> dict[str, Array]:
    """The group of every request by each declared attribute of its user that has few values, or is a number."""
    users, path = active_dataset(workspace).users, entity_rows(workspace, "user_id")
    if users is None or not path.exists():
        return {}
    found = _attributes(path, "user_id", users, at_us)
    people = list(dict.fromkeys(asked_by))
    places = {person: place for place, person in enumerate(people)}
    chosen = np.array([places[person] for person in asked_by])
    labels = {}
    for name in (*users.categorical, *users.numeric):
        values = [found.get(person, {}).get(name) for person in people]
        parts = attribute_labels(values, numeric=name in users.numeric, groups=policy.numeric_groups)
        labels[name] = parts[chosen]
    return labels


def _attributes(path: Path, key: str, declared: EntityTable, at_us: int) -> dict[str, dict[str, Any]]:
    """The attributes of each key as they held at `at_us`: of several dated rows the last one that began by then."""
    table = pq.read_table(path)
    since = pc.fill_null(table["valid_from"].cast(pa.timestamp("us", "UTC")).cast(pa.int64()), ALWAYS_US)
    table = table.append_column("_since", since).filter(pc.less_equal(since, at_us))
    names = (*declared.categorical, *declared.numeric, *declared.multi)
    ordered = table.sort_by("_since").select([key, *names]).to_pylist()
    return {row[key]: row for row in ordered}


def item_vectors(workspace: Workspace, rows: Mapping[str, int], at_us: int) -> sparse.csr_array | None:
    """Declared categories of the items, multi-hot [m, c]."""
    items, path = active_dataset(workspace).items, entity_rows(workspace, "item_id")
    if items is None or not path.exists() or not (items.categorical or items.multi):
        return None
    found = _attributes(path, "item_id", items, at_us)
    pairs = [
        (rows[item], f"{name}={value}")
        for item, row in found.items()
        if item in rows
        for name in (*items.categorical, *items.multi)
        for value in (row[name] if name in items.multi else [row[name]]) or []
        if value is not None
    ]
    if not pairs:
        return None
    names, column = np.unique([name for _, name in pairs], return_inverse=True)
    places = (np.array([row for row, _ in pairs]), column)
    vectors = sparse.csr_array((np.ones(len(pairs)), places), shape=(len(rows), len(names)))
    vectors.sum_duplicates()
    return vectors
