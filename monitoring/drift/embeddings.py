"""Where shown items lie in the item tower's space, as a few columns that are judged like any other.

The directions are those in which the reference's slates differ most (principal components): a cosine between the mean
vectors of two windows cannot tell centred vectors apart, and a classifier over all dimensions takes seconds a window.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

DIRECTIONS = 5
EMBEDDING = "embedding:"


@dataclass(frozen=True)
class Embeddings:
    """Vectors [i, d] of the items that the champion's index holds; `codes` gives an item's row."""

    codes: Mapping[str, int]
    vectors: Array

    @classmethod
    def of(cls, item_ids: Sequence[str], vectors: Array) -> "Embeddings":
        return cls({item: place for place, item in enumerate(item_ids)}, np.asarray(vectors, np.float64))

    def rows_of(self, items: Array) -> Array:
        """Row of each item [n]; -1 where the index does not hold it."""
        return np.array([self.codes.get(str(item), -1) for item in items], np.int64)


@dataclass(frozen=True)
class Projected:
    """Coordinates [i, DIRECTIONS] of every known item along the directions of one reference."""

    embeddings: Embeddings
    places: Array

    def columns(self, items: Array) -> dict[str, Array]:
        """`embedding:1` and on, [n] each; NaN for an item that came after the training."""
        rows = self.embeddings.rows_of(items)
        found = np.where((rows >= 0)[:, None], self.places[rows], np.nan)
        return {f"{EMBEDDING}{number + 1}": found[:, number] for number in range(found.shape[1])}


def projected(embeddings: Embeddings, items: Array) -> Projected:
    """Directions of the items [n] that the reference shows, counted as often as it shows them."""
    rows = embeddings.rows_of(items)
    shown = embeddings.vectors[rows[rows >= 0]]
    centre = shown.mean(axis=0) if len(shown) else np.zeros(embeddings.vectors.shape[1])
    _, directions = np.linalg.eigh((shown - centre).T @ (shown - centre))
    largest = directions[:, ::-1][:, :DIRECTIONS]
    return Projected(embeddings, (embeddings.vectors - centre) @ largest)
