"""Fitted parameters of the towers: vocabularies and scales, learned from the training window, saved as JSON.

Index 0 of every vocabulary means unknown or missing, so a new user, item or category always has an encoding.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from feature_repo.dataset.declaration import Dataset, EntityTable
from feature_repo.features.columns import Columns
from feature_repo.features.request import context_at
from feature_repo.transforms.item_sequence import HISTORY_ITEMS

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Vocabulary:
    """Text to index; `values[i]` has index i + 1."""

    values: tuple[str, ...]
    indexes: dict[str, int]

    def __len__(self) -> int:
        return len(self.values) + 1

    def encode(self, texts: Array) -> Array:
        """Indexes of `texts`, any shape, as int64 of the same shape."""
        found = np.fromiter((self.indexes.get(t, 0) for t in texts.ravel()), np.int64, texts.size)
        return found.reshape(texts.shape)


def vocabulary(values: Iterable[str | None]) -> Vocabulary:
    distinct = tuple(sorted({v for v in values if v is not None}))
    return Vocabulary(distinct, {value: index for index, value in enumerate(distinct, start=1)})


@dataclass(frozen=True)
class Scale:
    """Standardises a number; a missing one becomes the mean, with an indicator beside it."""

    mean: float
    deviation: float

    def encode(self, numbers: Array) -> Array:
        """Two columns [n, 2]: the standardised number, and 1 where it was missing."""
        missing = np.isnan(numbers)
        scaled = np.where(missing, 0.0, (numbers - self.mean) / self.deviation)
        return np.stack([np.clip(scaled, -5.0, 5.0), missing], axis=1).astype(np.float32)


def scale(numbers: Array) -> Scale:
    known = numbers[~np.isnan(numbers)]
    if len(known) == 0:
        return Scale(0.0, 1.0)
    return Scale(float(known.mean()), float(known.std()) or 1.0)


@dataclass(frozen=True)
class AttributeEncoder:
    """Declared attributes of one entity as numbers. Column order is that of the declaration."""

    categorical: dict[str, Vocabulary]
    multi: dict[str, Vocabulary]
    numeric: dict[str, Scale]

    def inputs(self, columns: Columns) -> Columns:
        """`categories` [n, c], `flags` [n, v] of multi values, `numbers` [n, m]; a kind without columns is absent."""
        inputs = {}
        if self.categorical:
            inputs["categories"] = np.stack([v.encode(columns[n]) for n, v in self.categorical.items()], axis=1)
        if self.multi:
            inputs["flags"] = np.concatenate([flags(v, columns[n]) for n, v in self.multi.items()], axis=1)
        if self.numeric:
            inputs["numbers"] = np.concatenate([s.encode(columns[n]) for n, s in self.numeric.items()], axis=1)
        return inputs

    def to_json(self) -> dict[str, Any]:
        return {
            "categorical": {n: v.values for n, v in self.categorical.items()},
            "multi": {n: v.values for n, v in self.multi.items()},
            "numeric": {n: [s.mean, s.deviation] for n, s in self.numeric.items()},
        }

    @classmethod
    def from_json(cls, saved: dict[str, Any]) -> "AttributeEncoder":
        return cls(
            categorical={n: vocabulary(v) for n, v in saved["categorical"].items()},
            multi={n: vocabulary(v) for n, v in saved["multi"].items()},
            numeric={n: Scale(*s) for n, s in saved["numeric"].items()},
        )


@dataclass(frozen=True)
class Encoder:
    """Turns raw feature columns into the inputs of both towers."""

    user_ids: Vocabulary
    item_ids: Vocabulary
    users: AttributeEncoder
    items: AttributeEncoder

    def queries(self, user_ids: Array, users: Columns, moments_us: Array) -> Columns:
        """Inputs of the query tower for n requests.

        The attributes', and `user_id`, `hour`, `weekday` [n], `activity` [n, 1], `history` [n, HISTORY_ITEMS].
        """
        context = context_at(moments_us)
        activity = np.log1p(np.nan_to_num(users["user_event_count"]))
        return {
            **self.users.inputs(users),
            "user_id": self.user_ids.encode(user_ids),
            "history": self._history(users["history_items"]),
            "hour": context["hour"].astype(np.int64),
            "weekday": context["weekday"].astype(np.int64),
            "activity": activity[:, None].astype(np.float32),
        }

    def item_inputs(self, item_ids: Array, items: Columns) -> Columns:
        """Inputs of the item tower for n items: the attributes' and `item_id` [n]."""
        return {**self.items.inputs(items), "item_id": self.item_ids.encode(item_ids)}

    def _history(self, items: Array) -> Array:
        # Right-aligned, so that a position means the same age in every history: the last column is the newest item.
        encoded = self.item_ids.encode(items)
        lengths = (items != None).sum(axis=1)  # noqa: E711 - an elementwise comparison
        aligned = np.zeros((len(items), HISTORY_ITEMS), np.int64)
        rows, places = np.nonzero(np.arange(encoded.shape[1]) < lengths[:, None])
        aligned[rows, places + (HISTORY_ITEMS - lengths)[rows]] = encoded[rows, places]
        return aligned

    def to_json(self) -> dict[str, Any]:
        return {
            "user_ids": self.user_ids.values,
            "item_ids": self.item_ids.values,
            "users": self.users.to_json(),
            "items": self.items.to_json(),
        }

    @classmethod
    def from_json(cls, saved: dict[str, Any]) -> "Encoder":
        return cls(
            user_ids=vocabulary(saved["user_ids"]),
            item_ids=vocabulary(saved["item_ids"]),
            users=AttributeEncoder.from_json(saved["users"]),
            items=AttributeEncoder.from_json(saved["items"]),
        )


def flags(known: Vocabulary, values: Array) -> Array:
    """One column for each known value of a multi-valued attribute [n, longest], 1 where the row has it; float32."""
    hot = np.zeros((len(values), len(known)), np.float32)
    np.put_along_axis(hot, known.encode(values), 1.0, axis=1)
    return hot[:, 1:]


def fit_encoder(dataset: Dataset, *, user_ids: Array, users: Columns, item_ids: Array, items: Columns) -> Encoder:
    """Learn vocabularies and scales from the rows of a training window."""
    return Encoder(
        user_ids=vocabulary(user_ids),
        item_ids=vocabulary(item_ids),
        users=fit_attributes(dataset.users, users),
        items=fit_attributes(dataset.items, items),
    )


def fit_attributes(declared: EntityTable | None, columns: Columns) -> AttributeEncoder:
    if declared is None:
        return AttributeEncoder({}, {}, {})
    return AttributeEncoder(
        categorical={n: vocabulary(columns[n]) for n in declared.categorical},
        multi={n: vocabulary(columns[n].ravel()) for n in declared.multi},
        numeric={n: scale(columns[n]) for n in declared.numeric},
    )
