"""What each version gave to each request, and how it is told apart by group and over time. Pure."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy import sparse

from monitoring.fairness.groups import NEW, TAIL
from monitoring.fairness.window import FairnessWindow, Shown
from training.evaluation.beyond_accuracy import intra_list_diversity, mean_over_items
from training.evaluation.metrics import ndcg

Array = np.ndarray[Any, Any]

QUALITY, DIVERSITY, OVERLAP = "ndcg", "diversity", "overlap"
SHARES = {TAIL: "share of tail items", NEW: "share of new items"}


def per_request(window: FairnessWindow, shown: Shown) -> dict[str, Array]:
    """Each measure [r] of one version: NaN for the overlap of a user without history, absent without categories."""
    slates = shown.slates
    found = {QUALITY: ndcg(shown.hits, shown.relevant)}
    for group, name in SHARES.items():
        found[name] = mean_over_items(slates, (window.item_group == group).astype(np.float64))
    if window.vectors is not None:
        found[DIVERSITY] = intra_list_diversity(slates, window.vectors)
        found[OVERLAP] = taste_overlap(slates, window.history, window.vectors)
    return found


def taste_overlap(slates: Array, history: sparse.csr_array, vectors: sparse.csr_array) -> Array:
    """Cosine of the categories of a slate and of the user's history before it [r]: 1 is more of the same.

    The filter bubble as narrowing content, after Nguyen et al. ("Exploring the Filter Bubble", 2014), who compare tag
    genomes. NaN where the user has no history, or one of both has no category.
    """
    places = np.repeat(np.arange(len(slates)), (slates >= 0).sum(axis=1))
    listed = sparse.csr_array(
        (np.ones(len(places)), (places, slates[slates >= 0])), shape=(len(slates), vectors.shape[0])
    )
    one, other = listed @ vectors, history @ vectors
    products = np.asarray(one.multiply(other).sum(axis=1)).ravel()
    norms = np.sqrt(_squares(one) * _squares(other))
    cosine: Array = np.divide(products, norms, out=np.full(len(slates), np.nan), where=norms > 0)
    return cosine


def _squares(matrix: sparse.csr_array) -> Array:
    return np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel()


def exposure_by_user(shown: Shown, user: Array, users: int, catalogue: int) -> sparse.csr_array:
    """How often each user was shown each item [users, m]."""
    filled = shown.slates >= 0
    people = np.repeat(user, filled.sum(axis=1))
    return sparse.csr_array((np.ones(len(people)), (people, shown.slates[filled])), shape=(users, catalogue))


def gini_rows(exposure: Array) -> Array:
    """The Gini index of each row of `exposure` [n, m]: 0 all alike, 1 one item takes all.

    That of `training.evaluation.beyond_accuracy.gini`, for many weightings of the same slates at once.
    """
    ordered = np.sort(exposure, axis=1)
    items = ordered.shape[1]
    total = ordered.sum(axis=1)
    if items == 1:
        return np.zeros(len(exposure))
    weighted = ordered @ (2.0 * np.arange(1, items + 1) - items - 1)
    index: Array = np.divide(weighted, (items - 1) * total, out=np.zeros(len(exposure)), where=total > 0)
    return index


def lorenz(exposure: Array, points: int = 21) -> tuple[Array, Array]:
    """Share of the catalogue, least shown first, and the share of all places that it gets: [points] each."""
    running = np.concatenate([[0.0], np.cumsum(np.sort(exposure))])
    across = np.linspace(0, 1, points)
    up = np.interp(across, np.linspace(0, 1, len(running)), running / max(running[-1], 1.0))
    return across, up


def time_bins(moments_us: Array, bins: int) -> tuple[Array, Array]:
    """The number of the part of the window that each request is in [r], and where the parts start [bins]."""
    low, high = int(moments_us.min()), int(moments_us.max())
    edges = np.linspace(low, high + 1, bins + 1)
    return np.searchsorted(edges, moments_us, side="right") - 1, edges[:-1].astype(np.int64)


def within_user(values: Array, user: Array, users: int) -> Array:
    """`values` [r] minus the mean of their user, NaN where they are."""
    known = ~np.isnan(values)
    counts = np.bincount(user[known], minlength=users)
    sums = np.bincount(user[known], weights=values[known], minlength=users)
    centred: Array = values - np.divide(sums, counts, out=np.zeros(users), where=counts > 0)[user]
    return centred


def measures(window: FairnessWindow) -> Mapping[str, dict[str, Array]]:
    """`per_request` of every version."""
    return {version: per_request(window, shown) for version, shown in window.shown.items()}
