"""What accuracy does not say: how much of the catalogue is shown, how popular, how new, how varied, how surprising.

`slates` [requests, k] hold rows of a catalogue of m items, -1 where a slate is shorter. What is averaged over places is
averaged over those that hold an item; an empty slate has 0.
"""

from typing import Any

import numpy as np
from scipy import sparse
from scipy.stats import rankdata

from feature_repo.core.errors import NotMeasurable

Array = np.ndarray[Any, Any]


def exposure(slates: Array, catalogue: int) -> Array:
    """How often each item is shown, int64 [catalogue]."""
    return np.bincount(slates[slates >= 0], minlength=catalogue)


def coverage(slates: Array, catalogue: int) -> float:
    """Share of the catalogue that is shown to anybody (Herlocker et al., 2004)."""
    return float((exposure(slates, _at_least_one(catalogue)) > 0).mean())


def gini(slates: Array, catalogue: int) -> float:
    """Inequality of exposure: 0 where every item is shown as often as any other, 1 where one item takes all.

    The Gini index of Castells, Hurley and Vargas ("Novelty and Diversity in Recommender Systems", 2015). A catalogue
    of one item, or slates that show nothing, have 0.
    """
    shown = np.sort(exposure(slates, _at_least_one(catalogue)))
    if catalogue == 1 or not shown.sum():
        return 0.0
    places = np.arange(1, catalogue + 1)
    return float(((2 * places - catalogue - 1) * shown).sum() / ((catalogue - 1) * shown.sum()))


def popularity_percentiles(events: Array) -> Array:
    """Share of the catalogue with fewer events than each item, ties counted half: float64 [m], above 0 and below 1.

    `events` [m] counts the training log.
    """
    percentiles: Array = (rankdata(events) - 0.5) / _at_least_one(len(events))
    return percentiles


def popularity_lift(recommended: Array, consumed: Array) -> float:
    """How much more popular what is shown is than what users choose themselves: +0.2 is 20 % more.

    Both are mean popularity percentiles of requests, [requests] (`mean_over_items`). After Abdollahpouri et al. ("The
    Connection Between Popularity Bias, Calibration, and Fairness in Recommendation", 2020), who average over shares of
    users where this averages percentiles.
    """
    if not (len(recommended) and len(consumed) and consumed.mean() > 0):
        raise NotMeasurable("a popularity lift needs requests with items shown and items consumed; got none")
    return float(recommended.mean() / consumed.mean() - 1.0)


def self_information(events: Array) -> Array:
    """-log2 of an item's share of the training log, bits [m] (Zhou et al., 2010; Vargas and Castells, 2011).

    One is added to each count (Laplace), so that an item without an event has a finite value, the largest.
    """
    information: Array = -np.log2((events + 1.0) / (events.sum() + _at_least_one(len(events))))
    return information


def mean_over_items(slates: Array, values: Array) -> Array:
    """Mean of `values` [m] over the items of each slate [requests]: novelty is that of `self_information`, popularity
    that of `popularity_percentiles`."""
    shown = slates >= 0
    sums = np.where(shown, values[slates], 0.0).sum(axis=1)
    mean: Array = sums / np.maximum(shown.sum(axis=1), 1)
    return mean


def intra_list_diversity(slates: Array, vectors: Array | sparse.csr_array) -> Array:
    """1 - mean cosine over the pairs of a slate [requests] (Smyth and McClave, 2001; Ziegler et al., 2005).

    `vectors` [m, d] describe the items, for instance by multi-hot categories; a vector of zeros has cosine 0 with
    every other. The sum over pairs is |sum of unit vectors|² - number of unit vectors, so no pair is visited. A slate
    of fewer than two items has 0.
    """
    units = sparse.csr_array(vectors, dtype=np.float64)
    norms = np.sqrt(units.multiply(units).sum(axis=1))
    units = sparse.csr_array(
        sparse.diags_array(np.divide(1.0, norms, out=np.zeros_like(norms), where=norms > 0)) @ units
    )
    shown = slates >= 0
    lengths = shown.sum(axis=1)
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    listed = sparse.csr_array((np.ones(indptr[-1]), slates[shown], indptr), shape=(len(slates), units.shape[0]))
    total = listed @ units
    cosines = total.multiply(total).sum(axis=1) - listed @ (norms > 0).astype(np.float64)
    pairs = lengths * (lengths - 1.0)
    return np.where(lengths > 1, 1.0 - cosines / np.maximum(pairs, 1.0), 0.0)


def serendipity(slates: Array, hits: Array, primitive: Array) -> Array:
    """Share of the k places with a relevant item that a primitive recommender does not show [requests].

    Useful and unexpected (Ge, Delgado-Battenfeld and Jannach, "Beyond Accuracy", 2010, after Murakami et al., 2007).
    `primitive` [requests, k] or [k] are slates of the most popular items, of the same k.
    """
    if primitive.shape[-1] != slates.shape[1]:
        raise NotMeasurable(f"expected primitive slates of {slates.shape[1]} places; got {primitive.shape[-1]}")
    expected = np.zeros(slates.shape, bool)
    for place in range(primitive.shape[-1]):
        expected |= slates == primitive[..., place, None]
    return np.asarray((hits.astype(bool) & ~expected & (slates >= 0)).mean(axis=1))


def _at_least_one(items: int) -> int:
    if items < 1:
        raise NotMeasurable(f"expected a catalogue of at least one item; got {items}")
    return items
