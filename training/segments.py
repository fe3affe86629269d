"""Behaviour segments: users grouped by what they do, by k-means over standardised activity."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from feature_repo.features.columns import Columns

Array = np.ndarray[Any, Any]

SEGMENT_FEATURE = "user_segment"
# Counts and durations span orders of magnitude, so they enter as logarithms.
BEHAVIOUR = (
    "user_events_7d",
    "user_events_30d",
    "user_events",
    "user_recency_days",
    "user_frequency",
    "user_session_minutes",
    "user_session_events",
)


@dataclass(frozen=True, eq=False)
class Segments:
    """`centroids` [k, BEHAVIOUR] in units of `deviations` around `means`; a missing number counts as the mean."""

    means: Array
    deviations: Array
    centroids: Array

    def __len__(self) -> int:
        return len(self.centroids)

    def assign(self, features: Columns) -> Array:
        """The nearest centroid of each user, float32 [n], by the features of its moment."""
        standardised = self._standardised(behaviour(features))
        distances = ((standardised[:, None, :] - self.centroids) ** 2).sum(axis=2)
        nearest: Array = distances.argmin(axis=1).astype(np.float32)
        return nearest

    def _standardised(self, values: Array) -> Array:
        return np.where(np.isnan(values), 0.0, (values - self.means) / self.deviations)

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name).tolist() for name in ("means", "deviations", "centroids")}

    @classmethod
    def from_json(cls, saved: dict[str, Any]) -> "Segments":
        return cls(**{name: np.array(values) for name, values in saved.items()})


def behaviour(features: Columns) -> Array:
    """[n, BEHAVIOUR]: what segments are made of."""
    return np.ascontiguousarray(np.log1p(np.array([features[name] for name in BEHAVIOUR], np.float64)).T)


def fit_segments(features: Columns, *, segments: int, seed: int) -> Segments:
    """Group users by their features [n], one row each. Fewer distinct users than `segments` make fewer groups."""
    from sklearn.cluster import KMeans

    values = behaviour(features)
    known = ~np.isnan(values)
    counted = np.maximum(known.sum(axis=0), 1)
    means = np.where(known, values, 0.0).sum(axis=0) / counted
    spread = np.sqrt((np.where(known, values - means, 0.0) ** 2).sum(axis=0) / counted)
    empty = Segments(means, np.where(spread == 0, 1.0, spread), np.zeros((1, len(BEHAVIOUR))))
    standardised = empty._standardised(values)
    groups = min(segments, len(np.unique(standardised, axis=0)))
    fitted = KMeans(groups, n_init=4, random_state=seed).fit(standardised)
    return Segments(empty.means, empty.deviations, fitted.cluster_centers_)
