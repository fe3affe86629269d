"""Latent tastes from an event log: a truncated singular value decomposition of who met what, how often.

Halko, Martinsson, Tropp (SIAM Review 2011), as scikit-learn's TruncatedSVD has it.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from feature_repo.core.errors import NotMeasurable

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Fitted:
    """u users and i items of a log. A taste times traits has mean 0 and standard deviation 1 over random pairs."""

    user_ids: tuple[str, ...]
    item_ids: tuple[str, ...]
    tastes: Array  # [u, d]
    traits: Array  # [i, d]
    popularity: Array  # [i], the standardised log of an item's events
    chances: Array  # [u], each user's share of the events

    @property
    def item_chances(self) -> Array:
        """Chances [i] of an item, by how often it was met, give or take."""
        weights = np.exp(self.popularity)
        return np.asarray(weights / weights.sum())


def fit(events: pa.Table, *, dimension: int, seed: int) -> Fitted:
    """Fit tastes on the events whose type has a positive weight.

    Raises:
        NotMeasurable: fewer than two users or two items.
    """
    from scipy.sparse import csr_matrix
    from sklearn.decomposition import TruncatedSVD

    liked = events.filter(pa.array(events["score"].to_numpy() > 0))
    users, items = (liked[name].combine_chunks().dictionary_encode() for name in ("user_id", "item_id"))
    shape = (len(users.dictionary), len(items.dictionary))
    if min(shape) < 2:
        raise NotMeasurable(f"an audience needs a log of at least 2 users and 2 items; got {shape[0]} and {shape[1]}")
    places = (users.indices.to_numpy(), items.indices.to_numpy())
    met = csr_matrix((np.ones(len(liked)), places), shape=shape)
    weighed = met.log1p()
    model = TruncatedSVD(n_components=min(dimension, *(side - 1 for side in shape)), random_state=seed)
    tastes = model.fit_transform(weighed)
    traits = model.components_.T
    tastes, traits = _standardised(tastes, traits)
    of_user, of_item = (np.asarray(met.sum(axis=axis)).ravel() for axis in (1, 0))
    return Fitted(
        user_ids=tuple(users.dictionary.to_pylist()),
        item_ids=tuple(items.dictionary.to_pylist()),
        tastes=tastes,
        traits=traits,
        popularity=_scaled(np.log(of_item)),
        chances=of_user / of_user.sum(),
    )


def _standardised(tastes: Array, traits: Array) -> tuple[Array, Array]:
    """Centre both and scale, so that their product has mean 0 and variance 1 over all pairs.

    The variance of x . y over independent, centred x and y is the trace of the product of their covariances.
    """
    tastes, traits = tastes - tastes.mean(axis=0), traits - traits.mean(axis=0)
    covariances = [side.T @ side / len(side) for side in (tastes, traits)]
    variance = float(np.trace(covariances[0] @ covariances[1]))
    return tastes / np.sqrt(variance) if variance > 0 else tastes, traits


def _scaled(values: Array) -> Array:
    spread = values.std()
    return np.asarray((values - values.mean()) / (spread if spread > 0 else 1.0))
