"""Why an item is in a slate: the item of the user's history that is nearest to it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from serving.graph.filter import rows_of

if TYPE_CHECKING:
    from training.recommender import Recommender

Array = np.ndarray[Any, Any]

LOOKED_BACK = 50  # newest items of the history
NEAR = 0.3  # a cosine below which one item is no reason for another


def reasons(recommender: "Recommender", history: Sequence[str], rows: Array) -> list[str]:
    """For each of `rows` what a person may read; empty where no item of `history` (ids, oldest first) is near."""
    items = recommender.items
    past = list(dict.fromkeys(rows_of(items, history[-LOOKED_BACK:])))
    if not past or not len(rows):
        return [""] * len(rows)
    near = recommender.embeddings[rows] @ recommender.embeddings[past].T
    near[rows[:, None] == np.array(past)[None, :]] = -np.inf  # an item is no reason for itself
    best = near.argmax(axis=1)
    return [
        f"because you chose {_title(recommender, past[place])}" if near[number, place] >= NEAR else ""
        for number, place in enumerate(best)
    ]


def _title(recommender: "Recommender", row: int) -> str:
    item_id = str(recommender.items.item_ids[row])
    shown = recommender.item(item_id)
    return str(shown.get("title") or shown.get("name") or item_id)
