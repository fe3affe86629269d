"""What slates are made of, as columns like any other: how popular, how new and how alike what is shown is.

The reference's own rows are measured against everybody else's in it: a user's own slates would make it look familiar.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from monitoring.drift.columns import Rows

Array = np.ndarray[Any, Any]

OVERLAP, NOVELTY, UNSEEN = "slate:overlap", "slate:novelty", "slate:unseen"
NEW_USER, NEW_ITEM = "share:new users", "share:new items"
MEANS = frozenset({OVERLAP, NOVELTY})
NEWCOMERS = frozenset({NEW_USER, NEW_ITEM})
NEW_ITEM_DAYS = 7.0


@dataclass(frozen=True)
class Shown:
    """How often the reference shows each item, over all users and by user; `rows` is its number of rows."""

    codes: Mapping[str, int]
    counts: Array  # [i]
    rows: int


def shown_in(reference: Rows) -> Shown | None:
    if reference.items is None:
        return None
    items, codes = np.unique(reference.items.astype(str), return_inverse=True)
    return Shown({item: place for place, item in enumerate(items)}, np.bincount(codes), len(codes))


def slate_columns(rows: Rows, shown: Shown | None, *, own: bool) -> dict[str, Array]:
    """The columns of a window [n]; `own` says that it is the reference itself.

    Overlap: of the slates of other people in the reference, the share of rows that show the same item, in thousandths
    (its sum over a slate is how many items two people have in common). Novelty: bits of surprise, -log2 of the item's
    share (Castells, Hurley and Vargas 2015). Unseen: 1 where the reference shows the item to nobody else.
    """
    found = _newcomers(rows)
    if shown is None or rows.items is None:
        return found
    codes = np.array([shown.codes.get(item, -1) for item in rows.items.astype(str).tolist()], np.int64)
    counts = np.where(codes >= 0, shown.counts[codes], 0).astype(float)
    total = float(shown.rows)
    if own:
        mine = _own_counts(rows.user, codes)
        counts, total = counts - mine, total - np.bincount(rows.user)[rows.user]  # type: ignore[assignment]
    share = (counts + 0.5) / (total + 0.5 * len(shown.counts))
    found[OVERLAP] = 1_000 * counts / np.maximum(total, 1.0)
    found[NOVELTY] = -np.log2(share)
    found[UNSEEN] = (counts == 0).astype(float)
    return found


def coverage(rows: Rows, requests: int, *, seed: int) -> float | None:
    """Distinct items in a random `requests` of the window's slates: comparable between windows."""
    if rows.items is None or not len(rows):
        return None
    held = np.unique(rows.request)
    taken = np.random.default_rng(seed).choice(held, min(requests, len(held)), replace=False)
    return float(len(np.unique(rows.items[np.isin(rows.request, taken)].astype(str))))


def _newcomers(rows: Rows) -> dict[str, Array]:
    found, values = {}, rows.values
    if "user_events" in values:
        # A rate by now, but nothing is nothing.
        found[NEW_USER] = (np.nan_to_num(values["user_events"]) == 0).astype(float)
    if "item_age_days" in values:
        age = values["item_age_days"]
        found[NEW_ITEM] = (~(age >= NEW_ITEM_DAYS)).astype(float)
    return found


def _own_counts(user: Array, codes: Array) -> Array:
    pair = user * (int(codes.max(initial=0)) + 2) + codes
    _, place, counts = np.unique(pair, return_inverse=True, return_counts=True)
    own: Array = counts[place].astype(float)
    return own
